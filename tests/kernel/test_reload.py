"""SIGHUP: what a running agent takes over, and what it says of the rest."""

import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import closing

import pytest

from ctherd.lab.namespace import NETNS_DIR, Namespace
from ctherd.main.config import reference_text
from ctherd.main.reload import RELOADABLE
from ctherd.model.document import NetnsName
from ctherd.netns.directory import NetnsDirectory
from ctherd.process import Child
from tests.kernel.host import FTP, TFTP, Host, assigned, becomes, nft
from tests.testing import raw

pytestmark = pytest.mark.usefixtures("only_agent")


def configure(host: Host, agent: Child, *changes: Callable[[str], str]) -> None:
    """Change the configuration, and say so."""
    path = host.command.directory / "ctherd.toml"
    text = path.read_text()
    for change in changes:
        text = change(text)
    path.write_text(text)
    os.kill(agent.pid, signal.SIGHUP)


def put(option: str) -> Callable[[str], str]:
    return lambda text: f"{option}\n{text}"


def log(host: Host) -> str:
    return host.command.log.read_text()


def test_what_can_be_taken_over_is(host: Host, netns: Namespace) -> None:
    """Policy, limits, level and format of the log: without a restart, and without a gap."""
    host.declare({netns.name: [FTP, TFTP]})
    with host.agent() as agent:
        configure(
            host,
            agent,
            lambda text: text.replace("kill = []", 'kill = ["tftp"]'),
            put("max_removals = {count = 0, share = 0.0}"),
            put('log_level = "warning"\nlog_format = "json"'),
        )
        assert becomes(lambda: assigned(netns.name) == {21})
        host.declare({netns.name: []})
        assert becomes(lambda: "held as unsafe" in log(host))
        assert assigned(netns.name) == {21}
    last = json.loads(log(host).splitlines()[-1])
    assert (last["level"], "held as unsafe" in last["message"]) == ("warning", True)


def test_another_interval_begins_at_once(host: Host, netns: Namespace) -> None:
    """Who waits for the next sweep of an hour does not wait for an hour.

    That somebody's claim of our table ended, no event tells: only a sweep finds out.
    """
    config = host.command.directory / "ctherd.toml"
    config.write_text("sweep_interval_s = 3600\n" + config.read_text())
    other = NetnsDirectory(NETNS_DIR).open(NetnsName(netns.name))
    claim = raw.nft(raw.NEWTABLE, raw.table("ctherd", raw.OWNER), flags=raw.CREATE)
    host.declare({netns.name: [FTP]})
    other.transport.send(raw.batch(claim))
    with closing(other), host.agent() as agent:
        configure(
            host,
            agent,
            lambda text: text.replace("3600", "0.1").replace('metrics = ""', 'metrics = "[::1]:1"'),
        )
        assert becomes(lambda: "metrics was changed" in log(host))
        assert host.show()[0]["assignments"][0]["status"] == "conflict"
        other.close()
        assert becomes(lambda: assigned(netns.name) == {21})


def test_what_needs_a_restart_is_named(host: Host, netns: Namespace) -> None:
    """Nothing is half taken over, and nobody has to guess."""
    host.declare({netns.name: [FTP]})
    with host.agent() as agent:
        configure(
            host,
            agent,
            lambda text: text.replace("own_table = true", "own_table = false"),
            lambda text: re.sub("state_dir = .*", 'state_dir = "/nowhere"', text),
        )
        assert becomes(lambda: "state_dir was changed" in log(host))
        assert "own_table was changed in the configuration, and stays as it was" in log(host)
        assert nft(netns.name, "flush", "ruleset").returncode == 0
        assert assigned(netns.name) == {21}, "the table is owned still"


def test_a_wrong_configuration_changes_nothing(host: Host, netns: Namespace) -> None:
    """It is reported with the option, and the old one stays in force."""
    host.declare({netns.name: [FTP, TFTP]})
    with host.agent() as agent:
        configure(host, agent, lambda text: text.replace("kill = []", 'kill = ["ftq"]'))
        assert becomes(lambda: "the configuration stays as it was" in log(host))
        assert "policy.kill" in log(host)
        host.declare({netns.name: [FTP]})
        assert becomes(lambda: assigned(netns.name) == {21})


def test_the_reference_names_what_can_be_taken_over() -> None:
    """The same options, in its head."""
    (named,) = re.findall("takes over ([^;]+);", reference_text().replace("\n# ", " "))
    assert tuple(named.split(", ")) == RELOADABLE
