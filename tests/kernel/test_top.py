"""`ctherd top` at a real terminal, over real flows, drift and an agent that comes and goes."""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctherd.demo.command_line import CTHERD
from ctherd.demo.lab import Lab
from ctherd.lab.namespace import Namespace
from ctherd.model.catalog import Family
from tests.kernel.conftest import MakeNetns
from tests.kernel.host import FTP, TFTP, Host, becomes, nft
from tests.kernel.terminal import Terminal, terminal
from tests.kernel.test_revocation import control, passive

pytestmark = pytest.mark.usefixtures("only_agent")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host whose table the kernel does not guard, so that drift can happen."""
    return Host(tmp_path, own_table=False)


def top(host: Host, *options: str) -> str:
    """Return the command line, as one types it."""
    config = ["--config", str(host.command.directory / "ctherd.toml")]
    return shlex.join([*CTHERD, *config, "top", "-f", str(host.command.herd), *options])


@contextmanager
def sat(host: Host, *options: str) -> Iterator[Terminal]:
    """Sit before a running `ctherd top`, under what the shell said before."""
    with terminal(host.command.directory) as seen:
        seen.type("echo be''fore; stty -g >stty.before")
        assert seen.shows("before")
        seen.type(top(host, *options) + "; echo code=$?")
        assert seen.shows("ctherd top", "q quit")
        assert seen.ask("#{alternate_on}") == "1"
        yield seen


def is_clean(seen: Terminal, code: int) -> bool:
    """Tell whether the terminal is as it was, and top ended with *code*."""
    assert seen.shows("before", f"code={code}")
    assert (seen.ask("#{alternate_on}"), seen.ask("#{cursor_flag}")) == ("0", "1")
    seen.type("stty -g >stty.after; cmp stty.before stty.after && echo the' 'same")
    return seen.shows("the same")


def drift(netns: Namespace) -> None:
    """Take everything out of our map, as a stranger would."""
    done = nft(netns.name, "flush", "map", "inet", "ctherd", "assign")
    assert done.returncode == 0, done.stderr


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_flows_and_repairs_are_seen_as_they_happen(host: Host, lab: Lab) -> None:
    """A connection with its helper and what it expects; drift, and that it was repaired."""
    router = lab.net.router
    host.declare({router.name: [FTP]})
    with host.agent(), sat(host) as seen:
        assert seen.shows("agent in sync", f"r-{router.name}", "1 active", "repairs: 0")
        assert "no flow has one" in seen.screen
        with control(lab, Family.IPV4) as ftp:
            assert seen.shows("helpers: ftp 1 flows, 0 expected")
            passive(ftp, Family.IPV4)
            assert seen.shows("helpers: ftp 1 flows, 1 expected", "tcp/21 ftp")
        drift(router)
        assert seen.shows("repairs: 1", "repaired 2", "is gone from the kernel")
        drift(router)
        assert seen.shows("repairs: 2")
        seen.press("q")
        assert is_clean(seen, 0)


def test_keys_and_sizes(host: Host, make_netns: MakeNetns) -> None:
    """Choosing, sorting, filtering, help; and whatever size the window has, it fits."""
    first, second = make_netns(), make_netns()
    host.declare({first.name: [FTP], second.name: [FTP, TFTP], "no-such-netns": [FTP]})
    with host.agent(), sat(host) as seen:
        assert seen.shows("3 routers", "1 pending", "by name, all: 3 of 3")
        names = sorted(f"r-{each}" for each in (first.name, second.name, "no-such-netns"))
        assert seen.shows(f"{names[0]} (netns")
        seen.press("Down")
        assert seen.shows(f"{names[1]} (netns")
        seen.press("j", "j", "j")
        assert seen.shows(f"{names[2]} (netns")
        seen.press("k")
        assert seen.shows(f"{names[1]} (netns")
        seen.press("s")
        assert seen.shows("by trouble, all: 3 of 3")
        seen.press("f")
        assert seen.shows("by trouble, troubled: 1 of 3", "r-no-such-netns (netns")
        seen.press("h")
        assert seen.shows("this help")
        seen.press("h")
        for width, height in ((50, 12), (24, 7), (200, 50), (10, 3), (80, 24)):
            seen.resize(width, height)
            assert seen.shows("ctherd top"[: width - 1])
            assert max(map(len, seen.screen.splitlines())) <= width
        assert seen.shows("q quit", "1 of 3")
        seen.press("q")
        assert is_clean(seen, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_a_clean_terminal(host: Host, netns: Namespace, number: int) -> None:
    """However it is ended, the shell has its terminal again."""
    host.declare({netns.name: [FTP]})
    with sat(host) as seen:
        (shell,) = seen.tmux("list-panes", "-F", "#{pane_pid}").split()
        found = subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, check=True)
        (child,) = found.stdout.split()
        os.kill(int(child), number)
        assert is_clean(seen, 128 + number)


def test_an_agent_comes_and_goes(host: Host, netns: Namespace) -> None:
    """Without one the kernel is read, and it is said; with one, what it tells counts."""
    host.declare({netns.name: [FTP]})
    with sat(host) as seen:
        assert seen.shows("no agent runs", "1 pending", "drift: tcp/21 ftp is not in the kernel")
        with host.agent() as agent:
            assert seen.shows("agent in sync", "1 active", "repairs: 0")
            host.command.end(agent)
        assert seen.shows("no agent runs", "1 active")
        host.declare({netns.name: [FTP, TFTP]})
        assert seen.shows("1 pending, 1 active")
        host.ctherd("apply", "-f", str(host.command.herd))
        assert seen.shows("2 active")
        seen.press("q")
        assert is_clean(seen, 0)


def test_one_frame(host: Host, lab: Lab) -> None:
    """For a pipe: as text, and as JSON; without --once, no terminal is an error."""
    router = lab.net.router
    host.declare({router.name: [FTP]})
    words = ("top", "-f", str(host.command.herd))
    told = json.loads(host.ctherd(*words, "-o", "json"))
    assert (told["origin"], told["repairs"], told["in_sync"]) == ("kernel", None, None)
    assert told["routers"][0]["drift"] == ["tcp/21 ftp is not in the kernel"]
    with host.agent(), control(lab, Family.IPV4) as ftp:
        passive(ftp, Family.IPV4)
        drift(router)
        assert becomes(lambda: '"repairs": 1' in host.ctherd(*words, "-o", "json"))
        told = json.loads(host.ctherd(*words, "-o", "json"))
        assert (told["origin"], told["in_sync"]) == ("agent", True)
        assert told["recent"][0]["words"]
        (shown,) = told["routers"]
        assert shown["helpers"] == {"ftp": {"flows": 1, "expected": 1}}
        assert [each["status"] for each in shown["assignments"]] == ["active"]
        text = host.ctherd(*words, "--once")
        assert "ftp 1 flows, 1 expected" in text
        assert "\x1b" not in text
    assert "this is no terminal" in host.ctherd(*words, expect=64)
