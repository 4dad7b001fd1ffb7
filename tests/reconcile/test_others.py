"""Foreign tables, foreign writers, and who wins."""

from collections.abc import Callable

from ctherd.dataplane.nftables import layout
from ctherd.errors import Contended
from ctherd.netlink.nf_tables import BATCH_BEGIN, TableFlag
from ctherd.ports import ObserveRequest
from ctherd.testing.netns import FakeNetns
from tests.reconcile.machine import FTP, SIP, TFTP, A, B, Machine, router


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


def test_a_claim_that_ends_is_found_out_by_looking(machine: Machine) -> None:
    """The kernel begins no generation when an owner goes: an equal one proves nothing here."""
    with machine.process() as running:
        with machine.kernel.netns(A).stranger() as other:
            assert other.add_table(layout.TABLE, flags=TableFlag.OWNER) == 0
            (report,) = running.become(router(A, FTP))
            assert report.plan is not None and report.plan.conflicts
        (report,) = running.reconciler.reconcile()
        assert report.plan is not None and not report.plan.conflicts
    machine.holds(router(A, FTP))


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


def test_who_looks_beside_us_hides_no_drift(machine: Machine) -> None:
    """A plan for somebody reads the kernel by the same sockets; we have not seen what it saw."""
    with machine.process(own_table=False) as running:
        running.become(router(A, FTP, SIP))
        assert machine.kernel.netns(A).flush_ruleset() == 0
        running.dataplane.observe([ObserveRequest(A, machine.records()[A].tag)])
        (report,) = running.reconciler.reconcile()
        assert report.plan is not None
        assert all(each.lost for each in report.plan.changes)
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


def test_a_moving_ruleset_is_recorded_for_once(machine: Machine) -> None:
    """Who commits all the time meets us right after we looked: no try but the first writes to disk.

    A commit that waits for the disk in each try is too late in each.
    """
    log = machine.path.with_name(f"{machine.path.name}-wal")
    sizes: list[int] = []

    def wins() -> bool:
        sizes.append(log.stat().st_size)
        return len(sizes) < 5

    with machine.process(own_table=False) as running:
        running.become(router(A, FTP))
        before = log.stat().st_size
        hostile(machine, wins)
        (report,) = running.become(router(A, FTP, TFTP))
        assert (report.error, report.tries) == (None, 5)
        assert before < sizes[0] and set(sizes) == {sizes[0]}
    machine.holds(router(A, FTP, TFTP))


def test_the_guard_ends_all_contention(machine: Machine) -> None:
    """A guarded table is changed at the first try, however much others write."""
    with machine.process() as running:
        running.become(router(A, FTP))
        hostile(machine, lambda: True)
        (report,) = running.become(router(A, TFTP))
        assert (report.error, report.tries) == (None, 1)
    machine.holds(router(A, TFTP))
