"""The commands without an agent: exit codes, idempotence, and what is left alone."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ctherd import process
from ctherd.demo.command_line import CTHERD
from ctherd.lab.namespace import Namespace
from ctherd.process import Completed


class Shell:
    """Runs `ctherd` with a state directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.herd = directory / "herd.yaml"
        self.state = directory / "state"

    def declare(self, *routers: str) -> None:
        self.herd.write_text("version: 1\nrouters: [" + ", ".join(routers) + "]\n")

    def run(self, command: str, *words: str) -> Completed:
        argv = [*CTHERD, "--state-dir", str(self.state), command, *words]
        return process.run(argv, timeout_s=60, check=False)

    def with_file(self, command: str, *words: str) -> Completed:
        return self.run(command, "-f", str(self.herd), *words)

    def json(self, command: str, *words: str) -> Any:
        return json.loads(self.with_file(command, "-o", "json", *words).stdout)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def router(netns: Namespace, *helpers: str) -> str:
    return f"{{name: r-{netns.name}, netns: {netns.name}, helpers: [{', '.join(helpers)}]}}"


FTP = "{helper: ftp, protocol: tcp, port: 21}"
SIP = "{helper: sip, protocol: udp, port: 5060, destinations: [203.0.113.0/24, '2001:db8::/64']}"
IRC = "{helper: irc, protocol: tcp, port: 6667}"


def ruleset(netns: Namespace) -> str:
    argv = ["ip", "netns", "exec", netns.name, "nft", "list", "ruleset"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_plan_changes_nothing_and_says_so_by_its_code(shell: Shell, netns: Namespace) -> None:
    """2 means changes, 0 none; the kernel and the disk are as before."""
    shell.declare(router(netns, FTP))
    assert shell.with_file("plan").returncode == 2
    assert ruleset(netns) == ""
    assert not shell.state.exists()
    assert shell.with_file("apply").returncode == 0
    assert shell.with_file("plan").returncode == 0


def test_a_second_apply_changes_nothing(shell: Shell, netns: Namespace) -> None:
    """What is right is not touched: handles, and so the whole listing, stay."""
    shell.declare(router(netns, FTP, SIP, IRC))
    shell.with_file("apply")
    before = ruleset(netns)
    answer = shell.json("apply")
    assert [each["changes"] for each in answer["routers"]] == [[]]
    assert ruleset(netns) == before


def test_wrong_usage_is_64(shell: Shell) -> None:
    """2 means changes, so a mistyped command must not exit with it."""
    assert shell.run("frobnicate").returncode == 64
    assert shell.run("plan", "--frobnicate").returncode == 64


@pytest.mark.parametrize(
    "text", ["", "version: 1\n", "version: 1\nrouters:\n", "version: 1\nrouters: [{name: x}]\n"]
)
def test_a_file_that_declares_nothing_removes_nothing(
    shell: Shell, netns: Namespace, text: str
) -> None:
    """Empty, without routers, with null ones: an error, and everything stays."""
    shell.declare(router(netns, FTP))
    shell.with_file("apply")
    before = ruleset(netns)
    shell.herd.write_text(text)
    failed = shell.with_file("apply", "--yes")
    assert failed.returncode == 1
    assert "herd.yaml" in failed.output
    assert ruleset(netns) == before


def test_a_router_that_left_the_file_is_cleaned_unless_partial(
    shell: Shell, make_netns: Any
) -> None:
    """The file is the complete desired state; --partial makes it only a part of it."""
    one, two = make_netns(), make_netns()
    shell.declare(router(one, FTP), router(two, FTP))
    shell.with_file("apply")
    shell.declare(router(one, FTP))
    assert shell.with_file("apply", "--partial").returncode == 0
    assert "ctherd" in ruleset(two)
    assert shell.with_file("apply").returncode == 0
    assert ruleset(two) == ""
    assert "ctherd" in ruleset(one)


def test_status_tells_families_apart(shell: Shell, netns: Namespace) -> None:
    """irc is active for IPv4 and says that it knows no IPv6; sip serves the prefixes of both."""
    shell.declare(router(netns, SIP, IRC))
    shell.with_file("apply")
    (shown,) = shell.json("show")["routers"]
    families = {each["helper"]: each["families"] for each in shown["assignments"]}
    assert {family: each["status"] for family, each in families["sip"].items()} == {
        "ipv4": "active",
        "ipv6": "active",
    }
    assert list(families["irc"]) == ["ipv4"]
    remarks = {each["helper"]: each["remark"] for each in shown["assignments"]}
    assert "IPv4 only" in remarks["irc"]


def test_unusual_removals_need_yes(shell: Shell, make_netns: Any) -> None:
    """Emptying several routers at once is refused without --yes, and nothing is half done."""
    one, two = make_netns(), make_netns()
    shell.declare(router(one, FTP), router(two, FTP))
    shell.with_file("apply")
    shell.declare(router(one), router(two))
    refused = shell.with_file("apply")
    assert refused.returncode == 1
    assert "nothing was changed" in refused.output
    assert "ctherd" in ruleset(one)
    assert shell.with_file("apply", "--yes").returncode == 0
    assert ruleset(one) + ruleset(two) == ""


def test_a_lost_journal_is_reclaimed(shell: Shell, netns: Namespace) -> None:
    """Without the journal our own table is foreign; reclaim takes it for ours again."""
    shell.declare(router(netns, FTP))
    shell.with_file("apply")
    for file in shell.state.iterdir():
        file.unlink()
    assert shell.with_file("apply").returncode == 1
    assert "repeat with --yes" in shell.with_file("reclaim").stdout
    assert shell.with_file("reclaim", "--yes").returncode == 0
    assert shell.with_file("apply").returncode == 0
    shell.declare(router(netns))
    shell.with_file("apply")
    assert ruleset(netns) == ""


def test_helpers_lists_what_the_kernel_does(shell: Shell) -> None:
    """Every helper of the catalog is there, with the families the kernel really has."""
    rows = json.loads(shell.run("helpers", "-o", "json").stdout)
    families = {(row["helper"], row["protocol"]): row["families"] for row in rows}
    assert families["ftp", "tcp"] == ["ipv4", "ipv6"]
    assert families["irc", "tcp"] == ["ipv4"]
    assert {row["aliases"][0] for row in rows if row["aliases"]} == {"h323"}
