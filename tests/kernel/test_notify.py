"""What the agent tells a service manager, played by the test."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctherd import systemd
from ctherd.lab.cleanup import namespaces
from ctherd.lab.namespace import Namespace
from tests.kernel.conftest import fresh_name
from tests.kernel.host import FTP, TFTP, Host, assigned, becomes

pytestmark = pytest.mark.usefixtures("only_agent")


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A service manager's socket, in this process's environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "manager"))
        listener.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "manager"))
        yield listener


def fill(path: Path) -> int:
    """Send to a socket until nothing more fits; return how much did."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        for sent in range(100_000):
            try:
                client.sendto(b"full", str(path))
            except BlockingIOError:
                return sent
    raise AssertionError("it is never full")


def test_a_manager_that_does_not_read_stops_nobody(manager: socket.socket, tmp_path: Path) -> None:
    """What does not fit is not told."""
    fitted = fill(tmp_path / "manager")
    systemd.notify("WATCHDOG=1")
    assert [manager.recv(100) for _ in range(fitted)] == [b"full"] * fitted


def test_namespaces_of_others_are_not_told_of(host: Host, netns: Namespace) -> None:
    """More than fit into the manager's socket come and go; the agent goes on."""
    host.declare({netns.name: [FTP]})
    with host.agent():
        for _ in range(int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 2):
            with namespaces([fresh_name()]):
                pass
        host.declare({netns.name: [FTP, TFTP]})
        assert becomes(lambda: assigned(netns.name) == {21, 69})


def test_the_watchdog_is_fed_by_who_works(
    host: Host, netns: Namespace, manager: socket.socket
) -> None:
    """WATCHDOG=1 comes again and again, by the agent's own loop."""
    host.declare({netns.name: [FTP]})
    config = host.command.directory / "ctherd.toml"
    argv = [*host.command.ctherd, "--config", str(config), "agent", "-f", str(host.command.herd)]
    agent = subprocess.Popen(argv, env={**os.environ, "WATCHDOG_USEC": "400000"})
    try:
        while manager.recv(4096) != b"READY=1":
            pass
        assert [manager.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    finally:
        agent.terminate()
        assert agent.wait(20) == 0
