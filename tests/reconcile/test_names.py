"""One netns is one router, whatever its names; another netns under a known name is another."""

import pytest

from ctherd.errors import NetnsAbsent, NetnsRefused
from ctherd.plan.diff import Verb
from tests.reconcile.machine import FTP, SIP, TFTP, A, B, C, D, Machine, router


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


def test_a_netns_that_was_renamed_while_nobody_looked(machine: Machine) -> None:
    """No process knows its cookie: the mark in the kernel tells whose record it is."""
    with machine.process() as running:
        running.become(router(A, FTP, SIP), router(B, FTP))
    mark = machine.mark(A)
    machine.kernel.rename(A, C)
    with machine.process() as running:
        reports = {each.netns: each for each in running.become(router(C, FTP), router(B, FTP))}
        at_c = reports[C]
        assert at_c.plan is not None
        assert [each.verb for each in at_c.plan.changes] == [Verb.DELETE]
        assert running.reconciler.reconcile() == []
    machine.holds(router(C, FTP), router(B, FTP))
    assert machine.mark(C) == mark


def test_a_rename_that_is_learned_late(machine: Machine) -> None:
    """Both names are declared at first: the netns has the one, and the record has the other."""
    with machine.process() as running:
        running.become(router(A, FTP))
    machine.kernel.rename(A, C)
    with machine.process() as running:
        running.become(router(A, FTP), router(C, FTP))
        running.become(router(C, FTP))
        assert running.reconciler.reconcile() == []
    machine.holds(router(C, FTP))


def test_a_renamed_netns_in_part_of_the_declarations(machine: Machine) -> None:
    """A name that is gone hands its record on, though not all documents are known yet."""
    with machine.process() as running:
        running.become(router(A, FTP, TFTP))
    machine.kernel.rename(A, C)
    with machine.process() as running:
        running.become(router(C, FTP), complete=False)
        assert list(running.reconciler.entries) == [C]
    machine.holds(router(C, FTP, TFTP))


@pytest.mark.parametrize("restarted", [False, True])
def test_a_second_name_takes_no_record_over_while_the_first_may_be_meant(
    machine: Machine, restarted: bool
) -> None:
    """Not all documents are known: the first name's may be among those that have not come."""
    with machine.process() as running:
        running.become(router(A, FTP))
        machine.kernel.link(A, C)
        if not restarted:
            running.become(router(C, TFTP), complete=False)
            assert set(running.reconciler.entries) == {A, C}
    if restarted:
        with machine.process() as running:
            running.become(router(C, TFTP), complete=False)
            assert set(running.reconciler.entries) == {A, C}
    assert list(machine.records()) == [A]
    assert machine.live(A) == {FTP.key: ()}


def test_a_netns_that_was_released_is_known_again(machine: Machine) -> None:
    """Its name went away and it was let go of; nothing of ours is in it, but its cookie tells."""
    with machine.process(own_table=False) as running:
        running.become(router(A, FTP))
        pin = machine.kernel.netns(A).connect()
        machine.kernel.rename(A, C)
        running.reconciler.release([A])
        running.reconciler.reconcile([A])
        assert machine.kernel.netns(C).flush_ruleset() == 0
        (report,) = running.become(router(C, FTP))
        assert report.plan is not None
        assert [(each.verb, each.lost) for each in report.plan.changes] == [(Verb.CREATE, True)]
        pin.close()
    machine.holds(router(C, FTP))


def test_a_mark_does_not_take_the_record_of_a_name_that_exists(machine: Machine) -> None:
    """A netns was renamed and another one made under its name: that one keeps the record."""
    with machine.process() as running:
        running.become(router(A, FTP))
    machine.kernel.rename(A, C)
    machine.kernel.create(A)
    with machine.process() as running:
        running.become(router(A, FTP), router(C, FTP))
        running.become(router(C, FTP))
        (report,) = running.reconciler.reconcile()
        assert report.plan is not None
        assert [each.verb for each in report.plan.changes] == [Verb.CONFLICT]
    assert machine.records() == {}


def test_a_mark_that_two_netns_bear_tells_nothing(machine: Machine) -> None:
    """One of them is a forgery, and nobody can say which: both are reported, none is touched."""
    with machine.process() as running:
        running.become(router(A, FTP))
    table = machine.kernel.netns(A).ruleset.tables
    machine.kernel.rename(A, C)
    machine.kernel.create(D).ruleset.tables.update(table)
    with machine.process() as running:
        reports = running.become(router(C, FTP), router(D, FTP))
        assert [each.netns for each in reports if each.plan and each.plan.conflicts] == [C, D]
    assert machine.records() == {}


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
