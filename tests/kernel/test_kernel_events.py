"""Events of the real kernel: whose they are, also when the kernel gives an id a second time."""

import secrets
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctherd.agent.kernel_events import KernelEvents
from ctherd.lab.namespace import NETNS_DIR, Namespace
from ctherd.model.document import NetnsName
from ctherd.netlink.events import Nsids, freed_nsids, listen_for_nsids
from ctherd.netns.directory import NetnsDirectory
from ctherd.netns.enter import entered, unshared
from tests.kernel.conftest import MakeNetns
from tests.kernel.host import nft

_PATIENCE_S = 20.0


class Ears:
    """What an agent has for event loop, and what it was told.

    Everything is opened in a namespace of its own: the ids that it gives are those of this test.
    """

    def __init__(self, events_of: Path) -> None:
        self._readers: dict[int, Callable[[], None]] = {}
        self.heard: list[NetnsName] = []
        self.gone: list[NetnsName] = []
        self.overflows: list[None] = []
        self.directory = NetnsDirectory(events_of)
        self.events = KernelEvents(
            self.directory,
            lambda fd, read, *given: self._readers.update({fd: lambda: read(*given)}),
            self._readers.pop,
            on_commit=lambda netns, _: self.heard.append(netns),
            on_gone=self.gone.append,
            on_overflow=lambda: self.overflows.append(None),
        )
        self.nsids = Nsids()
        self._witness = listen_for_nsids()

    def close(self) -> None:
        self.events.close()
        self.nsids.close()
        self._witness.close()

    def watch(self, netns: Namespace) -> bool:
        opened = self.directory.open(NetnsName(netns.name))
        opened.close()
        return self.events.watch(opened.name, opened.cookie)

    def nsid(self, netns: Namespace) -> int | None:
        with self.directory.held(NetnsName(netns.name)) as fd:
            return self.nsids.of(fd)

    def await_end_of(self, nsid: int) -> None:
        """Wait until the kernel has torn down the netns with this id; serve no reader meanwhile."""
        poll = select.poll()
        poll.register(self._witness, select.POLLIN)
        while poll.poll(_PATIENCE_S * 1000):
            event = self._witness.receive()
            if event is not None and nsid in freed_nsids(event[0]):
                return
        raise AssertionError("the netns does not end")

    def listen(self, until: Callable[[], bool]) -> None:
        """Serve the readers until something is so."""
        give_up_s = time.monotonic() + _PATIENCE_S
        while not until():
            assert time.monotonic() < give_up_s, "it never became so"
            self._serve(100)

    def listen_to_the_end(self) -> None:
        """Serve the readers until nothing is left to read."""
        while self._serve(0):
            pass

    def _serve(self, timeout_ms: int) -> bool:
        poll = select.poll()
        for fd in self._readers:
            poll.register(fd, select.POLLIN)
        ready = poll.poll(timeout_ms)
        for fd, _ in ready:
            self._readers[fd]()
        return bool(ready)


@contextmanager
def listening() -> Iterator[Ears]:
    with unshared() as home, entered(home):
        ears = Ears(NETNS_DIR)
    try:
        yield ears
    finally:
        ears.close()


@pytest.fixture
def ears() -> Iterator[Ears]:
    with listening() as opened:
        yield opened


def commit(netns: Namespace) -> None:
    """Make a table that was not there: anything less is no commit."""
    name = f"foreign-{secrets.token_hex(4)}"
    assert nft(netns.name, "add", "table", "inet", name).returncode == 0


def delete(netns: Namespace) -> None:
    subprocess.run(["ip", "netns", "del", netns.name], check=True)


def replace(netns: Namespace, other: Namespace) -> None:
    """Let the name of *netns* lead to *other*, without any event in the directory."""
    place = NETNS_DIR / netns.name
    subprocess.run(["umount", place], check=True)
    subprocess.run(["mount", "--bind", NETNS_DIR / other.name, place], check=True)


def test_a_commit_is_told_with_its_netns(ears: Ears, make_netns: MakeNetns) -> None:
    """Of several netns, that one; what is not watched is not told."""
    one, two, unwatched = make_netns(), make_netns(), make_netns()
    assert ears.watch(one) and ears.watch(two)
    assert not ears.watch(one), "it was watched already"
    ears.nsid(unwatched)
    for netns in (unwatched, two, one):
        commit(netns)
    ears.listen(lambda: len(ears.heard) >= 2)
    ears.listen_to_the_end()
    assert ears.heard == [two.name, one.name]


def test_an_id_that_is_given_again_means_another_netns(ears: Ears, make_netns: MakeNetns) -> None:
    """Who had it before is not taken for who has it now, though nobody said that it went."""
    first, second = make_netns(), make_netns()
    ears.watch(first)
    freed = ears.nsid(first)
    assert freed is not None
    delete(first)
    ears.await_end_of(freed)
    assert ears.nsid(second) == freed
    commit(second)
    ears.listen_to_the_end()
    assert ears.heard == []
    assert ears.gone == [first.name]
    assert ears.watch(second)
    commit(second)
    ears.listen(lambda: bool(ears.heard))
    assert ears.heard == [second.name]


def test_a_name_that_leads_elsewhere_is_watched_anew(ears: Ears, make_netns: MakeNetns) -> None:
    """Not the name is watched, but the netns that it leads to."""
    name, other = make_netns(), make_netns()
    ears.watch(name)
    replace(name, other)
    assert ears.watch(name)
    commit(other)
    ears.listen(lambda: bool(ears.heard))
    assert ears.heard == [name.name]
