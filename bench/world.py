"""The reconciler wired as the agent wires it, over sockets that stay open from round to round."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import scratch
from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.document import NetnsName
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.transport import Transport
from ctherd.netns.directory import Namespace, NetnsDirectory
from ctherd.ports import Edit, Journal, Record
from ctherd.reconcile.reconciler import Reconciler

_GRACE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class World:
    """Namespaces whose sockets are open, for one reconciler after the other."""

    directory: NetnsDirectory
    sockets: Mapping[NetnsName, Namespace]

    # -- what the dataplane needs of a netns directory -------------------------------------------

    def open(self, name: NetnsName) -> Namespace:
        """Return the netns, which is open already."""
        return self.sockets[name]

    def leads_to(self, namespace: Namespace) -> bool:
        """Ask the file system, as always."""
        return self.directory.leads_to(namespace)

    def scratch(self) -> Namespace:
        """Open a fresh netns."""
        return self.directory.scratch()

    # -- the benchmarks' own affairs -------------------------------------------------------------

    @property
    def names(self) -> list[NetnsName]:
        """Every netns."""
        return list(self.sockets)

    def reconciler(self, journal: Journal, *, own_table: bool = True) -> Reconciler:
        """Return one that knows nothing yet but whether this kernel guards tables."""
        dataplane = NftablesDataplane(self, own_table=own_table)
        dataplane.capabilities()
        return Reconciler(dataplane, journal, Guard(Policy(max_per_router=100_000)))

    def clear(self) -> None:
        """Delete our table everywhere; it need not exist.

        The kernel frees what was deleted in the background, and a commit that comes too early
        waits for that: nothing tells when it is done, so there is a pause.
        """
        for name, namespace in self.sockets.items():
            Dialogue(namespace.transport, name).commit([nft.del_table(layout.TABLE)], None)
        time.sleep(_GRACE_S)


@contextmanager
def opened(path: Path, names: Sequence[NetnsName]) -> Iterator[World]:
    """Have the sockets of *names* in the netns directory *path* open."""
    directory = NetnsDirectory(path)
    sockets: dict[NetnsName, Namespace] = {}
    try:
        for name in names:
            sockets[name] = directory.open(name)
        yield World(directory, sockets)
    finally:
        for namespace in sockets.values():
            namespace.close()


def opening_s(path: Path, names: Sequence[NetnsName]) -> float:
    """Return how long it takes to open *names*; they are closed again."""
    started_s = time.perf_counter()
    with opened(path, names):
        return time.perf_counter() - started_s


@contextmanager
def fresh_journal() -> Iterator[SqliteJournal]:
    """Have an empty journal on a real disk."""
    with scratch.directory() as path:
        journal = SqliteJournal(path / "journal.sqlite")
        yield journal
        journal.close()


class Recording:
    """A transport that keeps what is sent through it."""

    def __init__(self, wrapped: Transport) -> None:
        self._wrapped = wrapped
        self.sent: list[bytes] = []

    @property
    def portid(self) -> int:
        """The wrapped one's."""
        return self._wrapped.portid

    def send(self, message: bytes) -> None:
        """Pass *message* on, and keep it."""
        self.sent.append(message)
        self._wrapped.send(message)

    def receive(self, *, wait: bool = True) -> memoryview:
        """Pass on what comes."""
        return self._wrapped.receive(wait=wait)

    def close(self) -> None:
        """Leave the wrapped one open: it is not ours."""


class _NoJournal:
    """Remembers nothing, at no cost."""

    def load(self) -> dict[NetnsName, Record]:
        """Return nothing."""
        return {}

    def record(self, edits: Sequence[Edit]) -> None:
        """Do nothing."""

    def drop(self, names: Sequence[NetnsName]) -> None:
        """Do nothing."""

    def rename(self, old: NetnsName, new: NetnsName) -> None:
        """Do nothing."""


def no_journal() -> Journal:
    """Return a journal that costs nothing, to see what everything else does."""
    return _NoJournal()
