"""The lab's own truth: without a helper nothing passes, with one set up by hand everything does."""

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctherd import process
from ctherd.demo import services
from ctherd.demo.lab import Lab
from ctherd.demo.transfers import FTP_ACTIVE_V4, FTP_PASSIVE_V4, TIMEOUT_S, WAYS, Way
from ctherd.errors import CtherdError, NetnsAbsent
from ctherd.lab.namespace import NETNS_DIR, Namespace
from ctherd.lab.topology import Topology
from ctherd.netns.enter import entered, unshared

pytestmark = pytest.mark.root

HELPERS_BY_HAND = """
table inet byhand {
  ct helper watch-ftp { type "ftp" protocol tcp; }
  ct helper watch-tftp { type "tftp" protocol udp; }
  chain assign {
    type filter hook prerouting priority -150;
    tcp dport 21 ct helper set "watch-ftp"
    udp dport 69 ct helper set "watch-tftp"
  }
}
"""


@pytest.fixture(scope="module")
def bare() -> Iterator[Lab]:
    """A lab whose router has no helper."""
    with Lab.open() as lab:
        yield lab


@pytest.fixture(scope="module")
def helped() -> Iterator[Lab]:
    """A lab whose router got its helpers from nft, without ctherd."""
    with Lab.open() as lab:
        lab.net.router.nft(HELPERS_BY_HAND)
        yield lab


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_no_way_works_without_a_helper(bare: Lab, way: Way) -> None:
    """Each way fails without a helper, and is known to have failed within two seconds."""
    attempt = bare.attempt(way)

    assert not attempt.succeeded
    assert attempt.error
    assert attempt.duration_ms < TIMEOUT_S * 1000 + 500


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_way_works_with_a_helper(helped: Lab, way: Way) -> None:
    """Each way brings the payload, byte for byte, once a helper looks on."""
    attempt = helped.attempt(way)

    assert attempt.succeeded, str(attempt)
    assert attempt.size == helped.served.size


def test_a_loop_reports_each_transfer(helped: Lab) -> None:
    """A loop yields its attempts as they happen, and at its end those that nobody asked for."""
    with helped.loop(FTP_PASSIVE_V4) as loop:
        seen = loop.follow(0.0, 5)
        since_s = time.monotonic()
        later = loop.follow(since_s, 5)
        rest = loop.finish()

    assert len(seen) == 5
    assert sum(attempt.started_s > since_s for attempt in later) == 5
    assert all(attempt.succeeded for attempt in [*seen, *later, *rest])


def test_clients_of_both_modes_at_once_do_not_disturb_each_other(helped: Lab) -> None:
    """Every transfer of an active and a passive client side by side succeeds."""
    with helped.loop(FTP_PASSIVE_V4) as passive, helped.loop(FTP_ACTIVE_V4) as active:
        attempts = [*passive.follow(0.0, 100), *active.follow(0.0, 100)]

    assert [str(attempt) for attempt in attempts if not attempt.succeeded] == []


def test_the_firewall_can_be_installed_again() -> None:
    """After somebody flushed the router, installing the firewall gives the same ruleset."""
    with Topology.build() as net:
        before = net.router.run(["nft", "list", "ruleset"]).stdout
        net.router.run(["nft", "flush", "ruleset"])
        net.install_firewall()
        net.install_firewall()

        assert net.router.run(["nft", "list", "ruleset"]).stdout == before


def test_everything_is_gone_afterwards() -> None:
    """Names, namespaces, servers and payload are gone, also when the body failed."""
    with pytest.raises(RuntimeError, match="body"), Lab.open() as lab:
        names = {station.name for station in lab.net.stations}
        payload = lab.served.path
        assert names <= _names()
        raise RuntimeError("the body failed")

    assert not names & _names()
    assert not payload.exists()
    assert not _processes_that_mention(str(payload.parent))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_everything_is_gone_after_a_signal(number: signal.Signals) -> None:
    """A process that holds a lab and is told to end removes the lab first."""
    with process.spawn([sys.executable, "-c", _HOLD_A_LAB]) as child:
        prefix = child.read_line(30.0)
        assert any(name.startswith(prefix) for name in _names())
        os.kill(child.pid, number)
        child.wait(10.0)

    assert child.returncode() != 0
    assert not any(name.startswith(prefix) for name in _names())


_HOLD_A_LAB = """
import signal, sys
from ctherd.demo.lab import Lab
with Lab.open() as lab:
    print(lab.net.router.name.removesuffix("router"), flush=True)
    signal.pause()
"""


def test_servers_do_not_outlive_a_killed_owner() -> None:
    """A server ends with the process that started it, even if that one is killed."""
    with Topology.build() as net, services.payload() as served:
        script = _HOLD_A_SERVER.format(
            root=str(served.path.parent), python=sys.executable, name=net.server.name
        )
        with process.spawn([sys.executable, "-c", script]) as owner:
            server_pid = int(owner.read_line(30.0))
            watched = os.pidfd_open(server_pid)
            os.kill(owner.pid, signal.SIGKILL)
            assert _ends(watched, timeout_s=10.0)


_HOLD_A_SERVER = """
import signal
from ctherd.lab.namespace import Namespace, python
server = Namespace("{name}").spawn(
    python("ctherd.demo.ftp_server", "{root}", "21", "198.51.100.2"))
server.read_line(30.0)
print(server.pid, flush=True)
signal.pause()
"""


def test_a_server_that_cannot_start_says_why() -> None:
    """A port that is taken already is an error with the server's own words."""
    with (
        Topology.build() as net,
        services.payload() as served,
        services.ftp(net.server, served),
        pytest.raises(CtherdError, match="Address already in use"),
        services.ftp(net.server, served),
    ):
        pass


def test_a_namespace_that_is_gone_is_named() -> None:
    """Running something in a namespace that does not exist says which one."""
    with pytest.raises(NetnsAbsent, match="cthlab-nowhere"):
        Namespace("cthlab-nowhere").run(["true"])


def test_a_thread_comes_home() -> None:
    """Entering a namespace moves this thread there and, also after an error, back."""
    home = _my_netns()
    with unshared() as netns_fd:
        with pytest.raises(RuntimeError), entered(netns_fd):
            inside = _my_netns()
            raise RuntimeError
        elsewhere = process.run(["readlink", "/proc/self/ns/net"], netns_fd=netns_fd).stdout.strip()

    assert inside == elsewhere != home
    assert _my_netns() == home


def test_what_is_no_namespace_cannot_be_entered() -> None:
    """A descriptor of something else is refused by the kernel, and nothing is entered."""
    home = _my_netns()
    with (
        Path("/dev/null").open() as other,
        pytest.raises(OSError, match="Invalid argument"),
        entered(other.fileno()),
    ):
        pass

    assert _my_netns() == home


def _my_netns() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


def _names() -> set[str]:
    return {path.name for path in NETNS_DIR.iterdir()}


def _processes_that_mention(text: str) -> list[str]:
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = command.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in arguments:
            found.append(arguments)
    return found


def _ends(pidfd: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    try:
        return bool(poll.poll(timeout_s * 1000))
    finally:
        os.close(pidfd)
