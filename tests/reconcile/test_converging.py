"""What is declared becomes true in one run, and stays so without another commit."""

from collections.abc import Sequence

import pytest

from ctherd.dataplane.nftables import layout
from ctherd.model.assignment import (
    Assignment,
)
from ctherd.model.document import NetnsName
from ctherd.plan.diff import Verb
from ctherd.testing.netns import FakeNetns
from tests.reconcile.machine import FTP, FTP_LOCAL, SIP, TFTP, A, B, Machine, router


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


def test_what_is_equal_is_kept_once(machine: Machine) -> None:
    """Wanted, made and live are one object after a commit, and after a restart found them so."""
    for _ in range(2):
        with machine.process() as running:
            running.become(router(A, FTP, SIP))
            running.reconciler.reconcile()
            entry = running.reconciler.entries[A]
            assert entry.observed is not None
            assert entry.managed is entry.desired
            assert entry.observed.live is entry.desired


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
