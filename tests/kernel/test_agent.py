"""The agent as its users run it: a process, a herd file, real namespaces, `nft` as the witness."""

import json
import stat
import subprocess
from pathlib import Path

import pytest

from ctherd.lab.cleanup import remove
from ctherd.lab.namespace import NETNS_DIR, Namespace
from tests.kernel.conftest import MakeNetns, fresh_name
from tests.kernel.host import FTP, TFTP, Host, assigned, becomes, canary, nft

pytestmark = pytest.mark.usefixtures("only_agent")


def test_the_agent_follows_its_file(host: Host, netns: Namespace) -> None:
    """What is renamed into place is made true, and SIGTERM leaves the kernel as it is."""
    host.declare({netns.name: [FTP]})
    with host.agent() as agent:
        assert assigned(netns.name) == {21}
        host.declare({netns.name: [FTP, TFTP]})
        assert becomes(lambda: assigned(netns.name) == {21, 69})
        host.command.end(agent)
    assert assigned(netns.name) == {21, 69}


def test_an_invalid_file_leaves_everything_as_it_is(host: Host, netns: Namespace) -> None:
    """A file without routers is an error, never an empty herd."""
    host.declare({netns.name: [FTP]})
    with host.agent():
        host.command.herd.write_text("version: 1\nrouters:\n")
        assert becomes(lambda: "everything stays as it is" in host.command.log.read_text())
        assert assigned(netns.name) == {21}


def test_drift_is_repaired_from_its_event(tmp_path: Path, netns: Namespace) -> None:
    """Without ownership, whatever others do to our table is undone, whoever they are."""
    host = Host(tmp_path, own_table=False)
    host.declare({netns.name: [FTP]})
    with host.agent():
        for words in (
            ["flush", "ruleset"],
            ["delete", "element", "inet", "ctherd", "assign", "{ tcp . 21 }"],
            ["add", "element", "inet", "ctherd", "assign", '{ tcp . 2121 : "ftp-tcp" }'],
            ["flush", "chain", "inet", "ctherd", "prerouting"],
        ):
            done = nft(netns.name, *words)
            assert done.returncode == 0, done.stderr
            assert becomes(lambda: _intact(netns.name)), words


def _intact(netns: str) -> bool:
    rules = nft(netns, "list", "chain", "inet", "ctherd", "prerouting").stdout
    return assigned(netns) == {21} and "map @assign" in rules


def test_a_deleted_namespace_dies_and_a_new_one_is_programmed(
    host: Host, make_netns: MakeNetns
) -> None:
    """The agent's socket does not keep a namespace alive, and its name may come back."""
    netns, other = make_netns(), make_netns()
    host.declare({netns.name: [FTP], other.name: [TFTP]})
    with host.agent():
        alive = canary(netns, other)
        subprocess.run(["ip", "netns", "del", netns.name], check=True)
        assert becomes(lambda: not alive())
        assert becomes(lambda: host.show()[0]["assignments"][0]["status"] == "pending")
        subprocess.run(["ip", "netns", "add", netns.name], check=True)
        assert becomes(lambda: assigned(netns.name) == {21})
        assert assigned(other.name) == {69}


def test_a_name_that_has_no_namespace_yet(host: Host, make_netns: MakeNetns) -> None:
    """`ip netns add` makes an empty file first: its router waits until something is mounted there.

    No event tells of that.
    """
    late, other, name = make_netns(), make_netns(), fresh_name()
    place = NETNS_DIR / name
    host.declare({name: [FTP], other.name: [TFTP]})
    try:
        with host.agent():
            place.touch()
            assert becomes(lambda: "nothing is mounted there yet" in host.command.log.read_text())
            statuses = {each["netns"]: each["assignments"][0]["status"] for each in host.show()}
            assert statuses == {name: "pending", other.name: "active"}
            subprocess.run(["mount", "--bind", NETNS_DIR / late.name, place], check=True)
            assert becomes(lambda: assigned(name) == {21})
    finally:
        remove([name])


def test_unusual_removals_are_held_until_confirmed(host: Host, make_netns: MakeNetns) -> None:
    """A file that empties several routers at once waits, and `ctherd confirm` lets it through."""
    one, two = make_netns(), make_netns()
    host.declare({one.name: [FTP], two.name: [FTP]})
    with host.agent():
        host.declare({one.name: [], two.name: []})
        assert becomes(lambda: "held as unsafe" in host.command.log.read_text())
        assert (assigned(one.name), assigned(two.name)) == ({21}, {21})
        host.ctherd("confirm")
        assert becomes(lambda: not assigned(one.name) and not assigned(two.name))
        assert "ctherd" not in nft(one.name, "list", "ruleset").stdout


def test_a_second_agent_gets_one_clear_error(host: Host, netns: Namespace) -> None:
    """Two agents for one directory of namespaces are not left to fight, whatever their state."""
    host.declare({netns.name: [FTP]})
    with host.agent():
        second = host.ctherd("agent", "--state-dir", f"{host.command.directory}/other", expect=1)
        assert second == (
            "ctherd: another ctherd agent serves /run/netns on this host "
            "(end it first; `ctherd show` asks it)\n"
        )
        assert assigned(netns.name) == {21}


def test_the_log_as_json(host: Host, netns: Namespace) -> None:
    """Each line is an object with time, level, logger and message, errors of the file too."""
    host.declare({netns.name: [FTP]})
    with host.agent("--log-format", "json"):
        host.command.herd.write_text("routers: [\n")
        assert becomes(lambda: "everything stays as it is" in host.command.log.read_text())
    lines = [json.loads(line) for line in host.command.log.read_text().splitlines()]
    assert all(
        {name: type(value) for name, value in line.items()}
        == {"time": str, "level": str, "logger": str, "message": str}
        for line in lines
    )
    told = {line["level"]: line["message"] for line in lines}
    assert "herd.yaml" in told["error"]
    assert told["info"] == "ended; the kernel stays as it is"


def test_commands_go_through_the_agent(host: Host, netns: Namespace) -> None:
    """`show`, `plan` and `apply` see what the agent sees, and its socket is for root only."""
    host.declare({netns.name: [FTP]})
    with host.agent():
        mode = (host.command.directory / "state" / "control.sock").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        (router,) = host.show()
        assert router["guarded"]
        assert router["assignments"][0]["status"] == "active"
        assert "nothing to change" in host.ctherd("plan", "-f", str(host.command.herd))
        assert "all is as declared" in host.ctherd("apply", "-f", str(host.command.herd))


def test_apply_through_the_agent_is_of_its_own_file(host: Host, make_netns: MakeNetns) -> None:
    """What another file says would be undone: it is refused, with what to do; a plan shows it."""
    netns, other = make_netns(), make_netns()
    host.declare({netns.name: [FTP]})
    elsewhere = host.command.directory / "elsewhere.yaml"
    with host.agent():
        elsewhere.write_text(host.command.herd.read_text().replace(netns.name, other.name))
        told = host.ctherd("apply", "-f", str(elsewhere), "--yes", expect=1)
        assert f"copy it over {host.command.herd}, which is applied at once" in told
        told = host.ctherd("apply", "--partial", expect=1)
        assert "as a whole" in told
        assert other.name in host.ctherd("plan", "-f", str(elsewhere), expect=2)
        assert (assigned(netns.name), assigned(other.name)) == ({21}, set())
        assert "all is as declared" in host.ctherd("apply"), "without a file its own is meant"
        elsewhere.replace(host.command.herd)
        assert becomes(lambda: assigned(other.name) == {21} and not assigned(netns.name))


def test_what_was_removed_while_the_agent_was_dead_goes_at_its_return(
    host: Host, make_netns: MakeNetns
) -> None:
    """The journal knows what was ours after `kill -9`; a neighbour keeps what it has."""
    one, two = make_netns(), make_netns()
    host.declare({one.name: [FTP, TFTP], two.name: [FTP]})
    with host.agent() as agent:
        agent.kill()
    host.declare({one.name: [FTP], two.name: [FTP]})
    with host.agent():
        assert (assigned(one.name), assigned(two.name)) == ({21}, {21})


def test_a_table_of_our_name_without_our_mark_is_left_alone(host: Host, netns: Namespace) -> None:
    """Somebody else's `inet ctherd` is a conflict, reported and untouched."""
    assert nft(netns.name, "add", "table", "inet", "ctherd").returncode == 0
    host.declare({netns.name: [FTP]})
    before = nft(netns.name, "list", "ruleset").stdout
    with host.agent():
        (router,) = host.show()
        assert router["assignments"][0]["status"] == "conflict"
    assert nft(netns.name, "list", "ruleset").stdout == before
