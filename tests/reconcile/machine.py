"""What outlives a reconciler, and a process that runs one: the scripted kernel, a real journal."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ctherd.dataplane import survey_rules
from ctherd.dataplane.finding import Finding
from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.dataplane.revoker import FlowRevoker
from ctherd.dataplane.ruleset import TableId, read_ruleset
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.assignment import (
    Assignment,
    AssignmentId,
    AssignmentKey,
    Destinations,
    parse_prefix,
)
from ctherd.model.catalog import Protocol
from ctherd.model.document import Document, NetnsName, document
from ctherd.model.observation import Observation
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import NFPROTO_INET
from ctherd.ports import Edit, ObserveRequest, Record, Revocation, Revoked
from ctherd.reconcile.reconciler import Reconciler, Report
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns_directory import FakeNetnsDirectory

A, B, C, D = map(NetnsName, "abcd")

State = Mapping[AssignmentKey, Destinations]


def assignment(helper: str, protocol: Protocol, port: int, *prefixes: str) -> Assignment:
    destinations = tuple(map(parse_prefix, prefixes))
    name = AssignmentId(f"{protocol}/{port}/{helper}")
    return Assignment(name, helper, protocol, port, destinations)


FTP = assignment("ftp", Protocol.TCP, 21)
FTP_LOCAL = assignment("ftp", Protocol.TCP, 21, "203.0.113.0/24", "2001:db8::/32")
TFTP = assignment("tftp", Protocol.UDP, 69)
SIP = assignment("sip", Protocol.UDP, 5060, "198.51.100.0/24")


def router(netns: str, *assignments: Assignment, name: str = "") -> Document:
    return document(name or f"router-{netns}", netns, assignments)


class Died(BaseException):
    """The process was killed here."""


class Fate:
    """Counts the steps of a process, and ends it at the one that was chosen."""

    def __init__(self, last: int | None = None) -> None:
        self._last = last
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self._last:
            raise Died


class MortalJournal:
    """A journal whose process can die before and after each write."""

    def __init__(self, journal: SqliteJournal, fate: Fate) -> None:
        self._journal = journal
        self._fate = fate

    def load(self) -> dict[NetnsName, Record]:
        return self._journal.load()

    def record(self, edits: Sequence[Edit]) -> None:
        self._fate.step()
        self._journal.record(edits)
        self._fate.step()

    def drop(self, names: Sequence[NetnsName]) -> None:
        self._fate.step()
        self._journal.drop(names)
        self._fate.step()

    def rename(self, old: NetnsName, new: NetnsName) -> None:
        self._fate.step()
        self._journal.rename(old, new)
        self._fate.step()


def foreign_rules(_: Revocation, dialogue: Dialogue) -> Iterator[Finding]:
    """What others do to helpers, as far as the scripted kernel can have it."""
    return survey_rules.find(read_ruleset(dialogue, TableId(NFPROTO_INET, layout.TABLE)))


class Process:
    """One run of ctherd, from its start to its end."""

    def __init__(self, machine: "Machine", fate: Fate, *, own_table: bool) -> None:
        self.journal = SqliteJournal(machine.path)
        opener = FakeNetnsDirectory(machine.kernel)
        self.dataplane = NftablesDataplane(opener, own_table=own_table)
        self.revoker = FlowRevoker(opener, foreign_rules, lambda _: self.picks_up)
        self.picks_up = True
        mortal = MortalJournal(self.journal, fate)
        self.reconciler = Reconciler(self.dataplane, mortal, Guard(Policy()))

    def become(self, *documents: Document, complete: bool = True) -> list[Report]:
        reports = self.commit(*documents, complete=complete)
        self.revoke()
        return reports

    def commit(self, *documents: Document, complete: bool = True) -> list[Report]:
        """Make *documents* true, and pay nothing of what that owes to live flows."""
        self.reconciler.accept(documents, complete=complete)
        return self.reconciler.reconcile()

    def revoke(self) -> list[Revoked]:
        """Pay what is owed to live flows; all of it can be."""
        outcomes = [self.revoker.revoke(each) for each in self.reconciler.owing()]
        revoked = [each for each in outcomes if isinstance(each, Revoked)]
        assert revoked == outcomes
        self.reconciler.settle(revoked)
        return revoked


class Machine:
    """What outlives a process: the kernel and the state directory."""

    def __init__(self, directory: Path, kernel: FakeKernel | None = None) -> None:
        self.kernel = kernel or FakeKernel()
        self.path = directory / "journal"
        for name in (A, B):
            self.kernel.create(name)

    @contextmanager
    def process(self, *, die_at: int | None = None, own_table: bool = True) -> Iterator[Process]:
        """Run one process; its sockets are closed in the end, whatever ends it."""
        fate = Fate(die_at)
        self.kernel.before_datagram = lambda _netns, _datagram: fate.step()
        self.kernel.after_datagram = lambda _netns, _datagram: fate.step()
        running = Process(self, fate, own_table=own_table)
        try:
            yield running
        finally:
            self.kernel.before_datagram = self.kernel.after_datagram = None
            running.dataplane.release([A, B, C, D])
            running.journal.close()

    def records(self) -> dict[NetnsName, Record]:
        journal = SqliteJournal(self.path)
        try:
            return journal.load()
        finally:
            journal.close()

    def mark(self, netns: NetnsName) -> str | None:
        """The mark on the table of our name, None if there is no such table."""
        found = self.kernel.netns(netns).ruleset.tables.get((NFPROTO_INET, layout.TABLE))
        if found is None:
            return None
        return layout.tag_of((found.userdata or b"??")[2:].rstrip(b"\0").decode())

    def live(self, netns: NetnsName) -> State:
        """What works in *netns* under the mark that the journal has; nothing owns it just now."""
        record = self.records().get(netns)
        dataplane = NftablesDataplane(FakeNetnsDirectory(self.kernel), own_table=False)
        (seen,) = dataplane.observe([ObserveRequest(netns, record.tag if record else None)])
        dataplane.release([netns])
        assert isinstance(seen, Observation), seen
        assert seen.damage == ()
        return dict(seen.live)

    def nothing_is_orphaned(self) -> None:
        """Check that each table of ours bears the mark that the journal has of its netns."""
        records = self.records()
        for netns in map(NetnsName, self.kernel.names()):
            if (mark := self.mark(netns)) is not None:
                assert records[netns].tag == mark

    def holds(self, *documents: Document) -> None:
        """Check that kernel and journal hold these documents and nothing else."""
        records = self.records()
        wanted = {each.netns: each for each in documents if each.assignments}
        for netns in map(NetnsName, self.kernel.names()):
            expected = dict(wanted[netns].desired) if netns in wanted else {}
            assert self.live(netns) == expected
            assert (self.mark(netns) is not None) == bool(expected)
        assert {name: each.managed for name, each in records.items()} == {
            name: each.desired for name, each in wanted.items()
        }
        assert {name: each.router for name, each in records.items()} == {
            name: each.router for name, each in wanted.items()
        }
