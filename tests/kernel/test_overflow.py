"""Events that the kernel had to throw away: whatever they said is found out all the same.

The agent is stopped while too much happens; sweeps are too rare here to find anything.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctherd.lab.namespace import Namespace
from ctherd.model.document import NetnsName
from ctherd.netns.directory import NetnsDirectory
from ctherd.process import Child
from tests.kernel.conftest import MakeNetns
from tests.kernel.host import FTP, TFTP, Host, assigned, becomes, nft
from tests.testing import raw

pytestmark = pytest.mark.usefixtures("only_agent")

_QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))

_COMMITS = 20_000
"""More generations than fit into the agent's receive buffer of 1 MiB."""


@contextmanager
def stopped(host: Host, agent: Child) -> Iterator[None]:
    """Stop the agent, once it has nothing left to do."""
    host.show()
    os.kill(agent.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(agent.pid, signal.SIGCONT)


def rarely_swept(directory: Path, *, own_table: bool = True) -> Host:
    host = Host(directory, own_table=own_table)
    config = directory / "ctherd.toml"
    config.write_text("sweep_interval_s = 3600\n" + config.read_text())
    return host


def flood(directory: Path) -> None:
    """Make more happen than inotify remembers, and never the same twice in a row."""
    for _ in range(_QUEUE // 2 + 100):
        for name in ("one", "other"):
            (directory / name).write_bytes(b"")
            (directory / name).unlink()


class OwnDirectory:
    """A netns directory that only this test's agent looks at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def mount(self, name: str, netns: Namespace) -> None:
        (self.path / name).touch()
        source = f"/run/netns/{netns.name}"
        subprocess.run(["mount", "--bind", source, self.path / name], check=True)

    def remove(self, name: str) -> None:
        if (self.path / name).exists():
            subprocess.run(["umount", self.path / name], check=True)
            (self.path / name).unlink()


@pytest.fixture
def own_directory(tmp_path: Path) -> Iterator[OwnDirectory]:
    made = OwnDirectory(tmp_path / "netns")
    yield made
    made.remove("r")


def test_a_namespace_that_was_replaced_unheard(
    tmp_path: Path, own_directory: OwnDirectory, make_netns: MakeNetns
) -> None:
    """Its deletion and its return got lost: the new one is programmed, the old one let go."""
    old, new = make_netns(), make_netns()
    own_directory.mount("r", old)
    host = rarely_swept(tmp_path)
    host.declare({"r": [FTP]})
    with host.agent("--netns-dir", str(own_directory.path)) as agent:
        assert assigned(old.name) == {21}
        with stopped(host, agent):
            flood(own_directory.path)
            own_directory.remove("r")
            own_directory.mount("r", new)
        assert becomes(lambda: assigned(new.name) == {21})
        assert nft(old.name, "flush", "ruleset").returncode == 0
        assert becomes(lambda: assigned(old.name) == set()), "nobody guards or repairs it"


def test_a_herd_file_that_was_written_unheard(tmp_path: Path, netns: Namespace) -> None:
    """The file is read again where its event may have been lost."""
    host = rarely_swept(tmp_path)
    host.declare({netns.name: [FTP]})
    with host.agent() as agent:
        with stopped(host, agent):
            flood(tmp_path)
            host.declare({netns.name: [FTP, TFTP]})
        assert becomes(lambda: assigned(netns.name) == {21, 69})


def test_drift_that_happened_unheard(tmp_path: Path, make_netns: MakeNetns) -> None:
    """The kernel says that it lost commits, not where: every netns is looked at."""
    busy, quiet = make_netns(), make_netns()
    host = rarely_swept(tmp_path, own_table=False)
    host.declare({busy.name: [FTP], quiet.name: [FTP]})
    with host.agent() as agent:
        with stopped(host, agent):
            commit_often(busy)
            assert nft(quiet.name, "flush", "ruleset").returncode == 0
        assert becomes(lambda: assigned(quiet.name) == {21})
        assert "events were lost" in host.command.log.read_text()


def commit_often(netns: Namespace) -> None:
    """Make and delete a table, in one transaction, again and again."""
    opened = NetnsDirectory(Path("/run/netns")).open(NetnsName(netns.name))
    come_and_go = raw.batch(
        raw.nft(raw.NEWTABLE, raw.table("busy"), flags=raw.CREATE),
        raw.nft(raw.DELTABLE, raw.table("busy")),
    )
    for _ in range(_COMMITS):
        opened.transport.send(come_and_go)
    opened.close()
