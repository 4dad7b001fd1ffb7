"""What left the desired state leaves nothing behind, and what is not known yet stays."""

from collections.abc import Sequence

import pytest

from ctherd.model.assignment import Assignment
from tests.reconcile.machine import FTP, SIP, TFTP, A, B, Machine, router


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


@pytest.mark.parametrize("added", [(), (SIP,)])
def test_what_was_kept_out_of_sync_goes_in_sync(
    machine: Machine, added: Sequence[Assignment]
) -> None:
    """It is not forgotten meanwhile, whether there was something else to commit or not."""
    with machine.process() as running:
        running.become(router(A, FTP, TFTP))
    with machine.process() as running:
        running.become(router(A, FTP, *added), complete=False)
        assert running.reconciler.reconcile() == []
        assert running.reconciler.entries[A].managed.keys() >= {TFTP.key}
        running.become(router(A, FTP, *added))
    machine.holds(router(A, FTP, *added))
