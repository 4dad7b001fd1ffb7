"""The reconciler over the scripted kernel and a real journal: convergence, whatever happens."""

import errno
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.errors import Contended, NetnsAbsent, NetnsRefused
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
from ctherd.model.document import Document, NetnsName, RouterId, document
from ctherd.model.observation import Observation, Tag
from ctherd.netlink.nf_tables import BATCH_BEGIN, NFPROTO_INET
from ctherd.plan.diff import Verb
from ctherd.ports import Edit, ObserveRequest, Record
from ctherd.reconcile.reconciler import Reconciler, Report
from ctherd.testing.helper_matrix import LINUX_6_18
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns import FakeNetns
from ctherd.testing.netns_directory import FakeNetnsDirectory
from ctherd.testing.nf_tables.transaction import Abilities

A, B, C = NetnsName("a"), NetnsName("b"), NetnsName("c")

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


class Process:
    """One run of ctherd, from its start to its end."""

    def __init__(self, machine: "Machine", fate: Fate, *, own_table: bool) -> None:
        self.journal = SqliteJournal(machine.path)
        opener = FakeNetnsDirectory(machine.kernel)
        self.dataplane = NftablesDataplane(opener, own_table=own_table)
        mortal = MortalJournal(self.journal, fate)
        self.reconciler = Reconciler(self.dataplane, mortal, Guard(Policy()))

    def become(self, *documents: Document, complete: bool = True) -> list[Report]:
        self.reconciler.accept(documents, complete=complete)
        return self.reconciler.reconcile()


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
            running.dataplane.release([A, B, C])
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


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# -- converging ------------------------------------------------------------------------------------


def test_one_run_makes_it_so_and_the_next_has_nothing_to_report(machine: Machine) -> None:
    """Declared state becomes live state in one run; the second run reports nothing."""
    documents = router(A, FTP, TFTP), router(B, FTP_LOCAL, SIP)
    with machine.process() as running:
        reports = running.become(*documents)
        assert [(each.netns, each.error, each.tries) for each in reports] == [
            (A, None, 1),
            (B, None, 1),
        ]
        assert running.reconciler.reconcile() == []
        assert running.become(*documents) == []
    machine.holds(*documents)


def test_a_restart_only_claims(machine: Machine) -> None:
    """The next process finds everything as declared: it puts its guard there, and that is all."""
    with machine.process() as running:
        running.become(router(A, FTP, SIP))
    with machine.process() as running:
        (report,) = running.become(router(A, FTP, SIP))
        assert report.plan is not None
        assert (report.plan.changes, report.plan.repairs, report.plan.claim) == ((), (), True)
        assert running.reconciler.reconcile() == []
    machine.holds(router(A, FTP, SIP))


def test_planning_changes_nothing(machine: Machine) -> None:
    """A plan tells what would happen, and neither kernel nor journal hears of it."""
    with machine.process() as running:
        running.reconciler.accept([router(A, FTP)])
        (report,) = running.reconciler.plan()
        assert report.plan is not None
        assert [each.verb for each in report.plan.changes] == [Verb.CREATE]
    assert machine.mark(A) is None
    assert machine.records() == {}


def test_the_mark_is_on_disk_before_it_is_in_the_kernel(machine: Machine) -> None:
    """Whenever a table of ours is being made, the journal has its tag and its contents already."""
    seen: list[NetnsName] = []

    def check(netns: FakeNetns, datagram: bytes) -> None:
        if layout.mark("").encode() in datagram:
            record = machine.records()[NetnsName(netns.name)]
            assert layout.mark(record.tag).encode() in datagram
            assert FTP.key in record.managed
            seen.append(record.netns)

    with machine.process() as running:
        machine.kernel.before_datagram = check
        running.become(router(A, FTP), router(B, FTP, SIP))
    assert seen == [A, B]


@pytest.mark.parametrize("before", [(FTP, SIP), (FTP,), (TFTP, FTP_LOCAL)])
@pytest.mark.parametrize("after", [(FTP, SIP), (TFTP,), (FTP_LOCAL,), ()])
def test_a_changed_document(
    machine: Machine, before: Sequence[Assignment], after: Sequence[Assignment]
) -> None:
    """Whatever is declared next, one run makes it so."""
    with machine.process() as running:
        running.become(router(A, *before))
        running.become(router(A, *after))
        assert running.reconciler.reconcile() == []
    machine.holds(router(A, *after))


# -- dying -----------------------------------------------------------------------------------------

STAGES: Final[Sequence[Sequence[Document]]] = (
    (router(A, FTP, TFTP), router(B, SIP)),
    (router(A, FTP_LOCAL, SIP),),
    (router(A, FTP_LOCAL, name="renamed"), router(B, FTP)),
    (),
)


def live_through(machine: Machine, stages: Sequence[Sequence[Document]], die_at: int) -> bool:
    """Let one process go through *stages*; return whether it died on its way."""
    try:
        with machine.process(die_at=die_at) as running:
            for stage in stages:
                running.become(*stage)
    except Died:
        return True
    return False


@pytest.mark.parametrize("final", range(len(STAGES)))
def test_death_at_any_step(tmp_path: Path, final: int) -> None:
    """Killed at any datagram or journal write: nothing is orphaned, and the next run converges."""
    die_at = 0
    died = True
    while died:
        die_at += 1
        directory = tmp_path / str(die_at)
        directory.mkdir()
        machine = Machine(directory)
        died = live_through(machine, STAGES, die_at)
        machine.nothing_is_orphaned()
        with machine.process() as running:
            running.become(*STAGES[final])
            assert running.reconciler.reconcile() == []
        machine.holds(*STAGES[final])
    assert die_at > 50


def documents() -> st.SearchStrategy[list[Document]]:
    """What two routers may be declared as; a router may be missing, or have nothing."""
    some = st.lists(st.sampled_from([FTP, TFTP, SIP, FTP_LOCAL]), max_size=3).map(
        lambda chosen: list({each.key: each for each in chosen}.values())
    )
    one = st.none() | some
    return st.tuples(one, one).map(
        lambda pair: [
            router(netns, *each)
            for netns, each in zip((A, B), pair, strict=True)
            if each is not None
        ]
    )


@settings(max_examples=60)
@given(st.lists(documents(), min_size=1, max_size=3), st.integers(1, 60), documents())
def test_any_history_and_any_death(
    stages: list[list[Document]], die_at: int, final: list[Document]
) -> None:
    """The same for any sequence of declarations."""
    with tempfile.TemporaryDirectory() as directory:
        machine = Machine(Path(directory))
        live_through(machine, stages, die_at)
        machine.nothing_is_orphaned()
        with machine.process() as running:
            running.become(*final)
            assert running.reconciler.reconcile() == []
        machine.holds(*final)


def test_a_replacement_that_was_recorded_and_never_made(machine: Machine) -> None:
    """It was taken back in the meantime: the kernel is right, and the journal is made right."""
    with pytest.raises(Died), machine.process() as running:
        running.become(router(A, FTP))
        machine.kernel.before_datagram = _die_at_a_batch
        running.become(router(A, FTP_LOCAL))
    assert machine.records()[A].managed == {FTP.key: FTP_LOCAL.destinations}
    with machine.process() as running:
        (report,) = running.become(router(A, FTP))
        assert report.plan is not None
        assert [each.verb for each in report.plan.changes] == [Verb.ADOPT]
    machine.holds(router(A, FTP))


def _die_at_a_batch(_: FakeNetns, datagram: bytes) -> None:
    if int.from_bytes(datagram[4:6], "little") == BATCH_BEGIN:
        raise Died


# -- names -----------------------------------------------------------------------------------------


def test_a_renamed_router_keeps_its_mark(machine: Machine) -> None:
    """The name is for people: nothing happens in the kernel, and the journal has the new one."""
    with machine.process() as running:
        running.become(router(A, FTP))
        before = machine.mark(A)
        generation = machine.kernel.netns(A).ruleset.generation
        assert running.become(router(A, FTP, name="edge")) == []
    assert machine.mark(A) == before
    assert machine.kernel.netns(A).ruleset.generation == generation
    assert machine.records()[A].router == "edge"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_netns_under_another_name_is_the_same_one(machine: Machine, restarted: bool) -> None:
    """The cookie tells that a new name leads to a known netns: its record goes along."""
    with machine.process() as running:
        running.become(router(A, FTP))
        mark = machine.mark(A)
        machine.kernel.link(A, C)
        if not restarted:
            running.become(router(C, FTP))
    if restarted:
        with machine.process() as running:
            running.become(router(C, FTP))
    assert machine.mark(C) == mark
    assert list(machine.records()) == [C]
    assert machine.live(C) == {FTP.key: ()}


def test_a_netns_that_was_moved_to_another_name(machine: Machine) -> None:
    """The old name is gone already: what was known of its cookie tells."""
    with machine.process() as running:
        running.become(router(A, FTP))
        mark = machine.mark(A)
        machine.kernel.rename(A, C)
        running.become(router(C, FTP))
        assert running.reconciler.reconcile() == []
    assert machine.mark(C) == mark
    assert list(machine.records()) == [C]


def test_two_names_of_one_netns_are_refused(machine: Machine) -> None:
    """Two routers in one netns would undo each other's work: the second is told so."""
    machine.kernel.link(A, C)
    with machine.process() as running:
        reports = running.become(router(A, FTP), router(C, TFTP))
        assert [type(each.error) for each in reports if each.netns == C] == [NetnsRefused]
        assert "is the same network namespace as a" in str(reports[0].error)
    assert machine.live(A) == {FTP.key: ()}
    assert list(machine.records()) == [A]


def test_a_netns_made_anew_gets_everything_anew(machine: Machine) -> None:
    """A netns was deleted and made again under its name: it is another one, by cookie."""
    with machine.process() as running:
        running.become(router(A, FTP), router(B, TFTP))
        machine.kernel.netns(A).recreate()
        (report,) = running.reconciler.reconcile()
        assert report.netns == A and report.error is None
        assert machine.kernel.pinned() == []
    machine.holds(router(A, FTP), router(B, TFTP))


def test_a_netns_that_is_not_there_yet(machine: Machine) -> None:
    """It is reported as absent, the others are served, and it is served once it is there."""
    with machine.process() as running:
        reports = running.become(router(A, FTP), router(C, FTP))
        errors = {each.netns: type(each.error) for each in reports}
        assert errors == {A: type(None), C: NetnsAbsent}
        machine.kernel.create(C)
        (report,) = running.reconciler.reconcile()
        assert (report.netns, report.error) == (C, None)
    machine.holds(router(A, FTP), router(C, FTP))


# -- removing --------------------------------------------------------------------------------------


def test_a_router_that_left_leaves_nothing(machine: Machine) -> None:
    """No table, no record, no entry and no open socket: its netns could die."""
    with machine.process() as running:
        running.become(router(A, FTP), router(B, TFTP))
        running.become(router(B, TFTP))
        assert list(running.reconciler.entries) == [B]
        machine.kernel.delete(A)
        assert machine.kernel.pinned() == []
    machine.holds(router(B, TFTP))


def test_a_router_whose_netns_died(machine: Machine) -> None:
    """What nobody wants and does not exist any more is forgotten."""
    with machine.process() as running:
        running.become(router(A, FTP), router(B, TFTP))
        machine.kernel.delete(A)
        running.become(router(B, TFTP))
        assert list(running.reconciler.entries) == [B]
        assert machine.kernel.pinned() == []
    assert list(machine.records()) == [B]


def test_out_of_sync_nothing_is_removed(machine: Machine) -> None:
    """As long as not all documents are known, what was made before stays, and is remembered."""
    with machine.process() as running:
        running.become(router(A, FTP, TFTP), router(B, SIP))
    with machine.process() as running:
        running.become(router(A, FTP), complete=False)
        assert not running.reconciler.in_sync
        assert running.reconciler.reconcile() == []
    machine.holds(router(A, FTP, TFTP), router(B, SIP))
    with machine.process() as running:
        running.become(router(A, FTP))
    machine.holds(router(A, FTP))


# -- others ----------------------------------------------------------------------------------------


def test_a_foreign_table_is_a_conflict_and_stays(machine: Machine) -> None:
    """Somebody else has the place: reported each time, never touched, and the others are served."""
    with machine.kernel.netns(A).stranger() as other:
        assert other.add_table(layout.TABLE) == 0
    tables = dict(machine.kernel.netns(A).ruleset.tables)
    with machine.process() as running:
        reports = {each.netns: each for each in running.become(router(A, FTP), router(B, FTP))}
        plan = reports[A].plan
        assert plan is not None and [each.key for each in plan.conflicts] == [FTP.key]
        assert plan.holder == "table inet ctherd does not bear our mark"
        assert [each.netns for each in running.reconciler.reconcile()] in ([], [A])
    assert machine.kernel.netns(A).ruleset.tables == tables
    assert A not in machine.records()
    assert machine.live(B) == {FTP.key: ()}


def test_a_flushed_ruleset_is_restored(machine: Machine) -> None:
    """Without the kernel's guard others can remove everything: the next run makes it again."""
    with machine.process(own_table=False) as running:
        running.become(router(A, FTP, SIP))
        assert machine.kernel.netns(A).flush_ruleset() == 0
        (report,) = running.reconciler.reconcile()
        assert report.plan is not None
        assert all(each.lost for each in report.plan.changes)
        assert running.reconciler.reconcile() == []
    machine.holds(router(A, FTP, SIP))


def hostile(machine: Machine, wins: Callable[[], bool]) -> None:
    """Let somebody else commit right before each of our commits, as long as *wins* says so."""

    def interfere(netns: FakeNetns, datagram: bytes) -> None:
        is_batch = int.from_bytes(datagram[4:6], "little") == BATCH_BEGIN
        if is_batch and wins():
            machine.kernel.before_datagram = None
            netns.foreign_commit()
            machine.kernel.before_datagram = interfere

    machine.kernel.before_datagram = interfere


def test_a_hostile_writer_gets_the_better_of_us(machine: Machine) -> None:
    """Who changes the ruleset before each try of ours wins after a bounded number of tries."""
    attempts = iter(range(1000))
    with machine.process(own_table=False) as running:
        running.become(router(A, FTP))
        hostile(machine, lambda: next(attempts) >= 0)
        (report,) = running.become(router(A, FTP, TFTP))
        assert isinstance(report.error, Contended)
        assert report.tries == next(attempts) == 8
        machine.kernel.before_datagram = None
        (report,) = running.reconciler.reconcile()
        assert (report.error, report.tries) == (None, 1)
    machine.holds(router(A, FTP, TFTP))


def test_a_busy_writer_only_delays(machine: Machine) -> None:
    """Somebody commits twice in between: the third try succeeds in the same run."""
    attempts = iter(range(1000))
    with machine.process(own_table=False) as running:
        running.become(router(A, FTP))
        hostile(machine, lambda: next(attempts) < 2)
        (report,) = running.become(router(A, TFTP))
        assert (report.error, report.tries) == (None, 3)
    machine.holds(router(A, TFTP))


def test_the_guard_ends_all_contention(machine: Machine) -> None:
    """A guarded table is changed at the first try, however much others write."""
    with machine.process() as running:
        running.become(router(A, FTP))
        hostile(machine, lambda: True)
        (report,) = running.become(router(A, TFTP))
        assert (report.error, report.tries) == (None, 1)
    machine.holds(router(A, TFTP))


# -- refusals --------------------------------------------------------------------------------------


def test_a_refused_helper(tmp_path: Path) -> None:
    """The kernel's words are reported, neighbours are active, and it is tried again on request."""
    poor = {key: each for key, each in LINUX_6_18.items() if key[0] != "ftp"}
    machine = Machine(tmp_path, FakeKernel(helpers=poor))
    with machine.process() as running:
        (report,) = running.become(router(A, FTP, TFTP))
        assert list(report.refused) == [FTP.key]
        assert report.refused[FTP.key].errno == errno.ENOENT
        assert report.refused[FTP.key].words
        assert running.reconciler.reconcile() == []
        machine.kernel.abilities = Abilities(True, LINUX_6_18)
        running.reconciler.entries[A].retry_refused()
        (report,) = running.reconciler.reconcile()
        assert report.refused == {}
    machine.holds(router(A, FTP, TFTP))


def test_a_refused_helper_is_not_remembered_as_made(tmp_path: Path) -> None:
    """The journal holds what is there, so that nothing is said to be lost that never was."""
    poor = {key: each for key, each in LINUX_6_18.items() if key[0] != "ftp"}
    machine = Machine(tmp_path, FakeKernel(helpers=poor))
    with machine.process() as running:
        running.become(router(A, FTP, TFTP), router(B, FTP))
    assert machine.live(A) == {TFTP.key: ()}
    assert dict(machine.records()[A].managed) == {TFTP.key: ()}
    assert machine.mark(B) is None


def test_what_the_policy_denies_is_withdrawn(machine: Machine) -> None:
    """A policy that kills a helper takes it out of the kernel at the next run."""
    with machine.process() as running:
        running.become(router(A, FTP, TFTP))
        running.reconciler.set_guard(Guard(Policy(kill=frozenset({"ftp"}))))
        running.reconciler.reconcile()
        assert list(running.reconciler.entries[A].denials) == [FTP.id]
    machine.holds(router(A, TFTP))


def test_a_dataplane_error_stays_in_its_netns(machine: Machine) -> None:
    """The socket of one netns fails: told, the other is served, and the next run heals it."""
    with machine.process() as running:
        running.become()
        machine.kernel.netns(A).fail_next("send", errno.ENOBUFS)
        reports = {
            each.netns: each.error for each in running.become(router(A, FTP), router(B, FTP))
        }
        assert reports[A] is not None and reports[B] is None
        running.reconciler.reconcile()
    machine.holds(router(A, FTP), router(B, FTP))


def test_tags_are_drawn_for_each_netns(machine: Machine) -> None:
    """No mark is used twice."""
    with machine.process() as running:
        running.become(router(A, FTP), router(B, FTP))
    tags: set[Tag] = {each.tag for each in machine.records().values()}
    assert len(tags) == 2
    routers: set[RouterId] = {each.router for each in machine.records().values()}
    assert routers == {"router-a", "router-b"}
