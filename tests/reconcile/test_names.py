"""One netns is one router, whatever its names; another netns under a known name is another."""

import pytest

from ctherd.errors import NetnsAbsent, NetnsRefused
from tests.reconcile.machine import FTP, TFTP, A, B, C, Machine, router


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
