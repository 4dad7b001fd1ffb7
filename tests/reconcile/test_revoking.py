"""Which flows an assignment that goes, moves or shrinks costs their helper, and how they end."""

from dataclasses import replace
from typing import Final

import pytest

from ctherd.model.assignment import Assignment, OnRevoke
from ctherd.model.catalog import Protocol
from ctherd.model.debt import Action
from ctherd.model.document import Document
from ctherd.testing.conntrack.flows import Flow
from tests.reconcile.live_flows import (
    CLIENT,
    FTP_SCOPED,
    OTHER,
    SERVER,
    after,
    direction,
    flow,
    flows,
    killing,
    only,
)
from tests.reconcile.machine import FTP, SIP, TFTP, A, B, Machine, assignment, router

FTP_2121: Final = assignment("ftp", Protocol.TCP, 2121)
ALIAS_SIP: Final = assignment("sip", Protocol.TCP, 21)


def leaving(given: Assignment) -> Assignment:
    return replace(given, on_revoke=OnRevoke.LEAVE)


def expect(machine: Machine, master: Flow, port: int) -> None:
    awaited = direction(CLIENT, SERVER, (0, port), Protocol.TCP)
    machine.kernel.netns(A).conntrack.expect(master, awaited)


@pytest.mark.parametrize(
    "then",
    [
        [router(A)],
        [],
        [router(A, FTP_2121)],
        [router(A, ALIAS_SIP)],
        [router(A, TFTP)],
    ],
    ids=["emptied", "router left", "moved to a port", "another helper", "another assignment"],
)
def test_flows_of_what_went_lose_their_helper(machine: Machine, then: list[Document]) -> None:
    """However it went; the flow and its connection live, and what it expected is gone."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        old = flow(machine)
        expect(machine, old, 4001)
        expect(machine, old, 4002)
        running.commit(*then)
        settled = only(running.revoke())
    assert (settled.flows, settled.expectations, settled.left) == (1, 2, 0)
    assert flows(machine) == [old]
    assert old.helper is None
    assert machine.kernel.netns(A).conntrack.expectations == []
    machine.holds(*then)


def test_only_flows_of_this_assignment(machine: Machine) -> None:
    """Another port, helper, protocol or destination, and another netns, keep what they have."""
    with machine.process() as running:
        running.commit(router(A, FTP_SCOPED, FTP_2121, SIP), router(B, FTP))
        mine = flow(machine, at=1)
        others = [
            flow(machine, port=2121),
            flow(machine, server=OTHER, at=2),
            flow(machine, "sip", port=5060, protocol=Protocol.UDP),
            flow(machine, None, at=3),
            flow(machine, "sip", at=4),
            flow(machine, server="2001:db8::5", at=5),
            flow(machine, netns=B),
        ]
        before = [each.helper for each in others]
        running.commit(router(A, FTP_2121, SIP), router(B, FTP))
        assert only(running.revoke()).flows == 1
    assert mine.helper is None
    assert [each.helper for each in others] == before


def test_both_families(machine: Machine) -> None:
    """An assignment without destinations served IPv4 and IPv6."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        both = [flow(machine), flow(machine, server="2001:db8::5")]
        running.commit(router(A))
        assert only(running.revoke()).flows == 2
    assert [each.helper for each in both] == [None, None]


def test_what_stays_in_scope_keeps_its_helper(machine: Machine) -> None:
    """Destinations that shrink cost those flows their helper that are outside now."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        inside, outside = flow(machine), flow(machine, server=OTHER)
        running.commit(router(A, FTP_SCOPED))
        assert only(running.revoke()).flows == 1
        running.commit(router(A, FTP))  # wider again: nobody loses anything
        assert running.revoke() == []
    assert (inside.helper, outside.helper) == ("ftp", None)


def test_kill_ends_flows_and_their_data_connections(machine: Machine) -> None:
    """Control and data connections that are open are ended, descendants of descendants too."""
    with machine.process() as running:
        running.commit(router(A, killing(FTP)))
        control = flow(machine)
        data = flow(machine, "ftp", port=4000, master=control)
        flow(machine, None, port=4001, master=data)
        stranger = flow(machine, None, port=80)
        running.commit(router(A))
        settled = only(running.revoke())
    assert settled.debt.action is Action.KILL
    assert (settled.flows, settled.data_connections, settled.ended) == (1, 2, 2)
    assert flows(machine) == [stranger]


def test_data_connections_of_what_is_detached_are_counted(machine: Machine) -> None:
    """They live on; one that inherited a helper keeps it, because the kernel takes none there."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        control = flow(machine)
        flow(machine, None, port=4000, master=control)
        heir = flow(machine, "ftp", port=4001, master=control)
        running.commit(router(A))
        settled = only(running.revoke())
    assert (settled.flows, settled.data_connections, settled.ended) == (1, 2, 0)
    assert (settled.left, settled.done) == (1, True)
    assert "expected itself" in settled.why
    assert heir.helper == "ftp"


def test_an_assigned_flow_that_was_expected_keeps_its_helper(machine: Machine) -> None:
    """The kernel says EBUSY to it; that is reported, and keeps nobody else from being detached."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        other = flow(machine, None, port=80)
        odd = flow(machine, at=1, master=other)
        odd.status |= 0x2000
        plain = flow(machine, at=2)
        running.commit(router(A))
        settled = only(running.revoke())
    assert (settled.flows, settled.left, settled.done) == (1, 1, True)
    assert (odd.helper, plain.helper) == ("ftp", None)


def test_leave_leaves_them(machine: Machine) -> None:
    """Nothing is owed at all."""
    with machine.process() as running:
        running.commit(router(A, leaving(FTP)))
        old = flow(machine)
        running.commit(router(A))
        assert running.revoke() == []
    assert old.helper == "ftp"
    machine.holds()


def test_how_it_ends_may_change_before_it_ends(machine: Machine) -> None:
    """What was last declared counts, although the kernel was never touched for it."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        assert running.commit(router(A, killing(FTP))) == []
    assert machine.records()[A].on_revoke == {FTP.key: OnRevoke.KILL}
    with machine.process() as running:
        running.commit(router(A, killing(FTP)))
        flow(machine)
        running.commit(router(A))
        assert only(running.revoke()).debt.action is Action.KILL
    assert flows(machine) == []


def test_what_went_while_nobody_watched(machine: Machine) -> None:
    """The next start revokes what is not declared any more, as the journal knows it."""
    after(machine, [router(A, killing(FTP), TFTP)])
    flow(machine)
    settled = only(after(machine, [router(A, TFTP)]))
    assert (settled.debt.action, settled.flows) == (Action.KILL, 1)
    assert flows(machine) == []


def test_what_was_taken_from_the_kernel_and_from_the_file(machine: Machine) -> None:
    """Somebody deleted our table, and nobody wants it back: its flows are revoked all the same."""
    after(machine, [router(A, FTP)])
    old = flow(machine)
    machine.kernel.netns(A).flush_ruleset()
    assert only(after(machine, [router(A)])).flows == 1
    assert old.helper is None


def test_drift_that_is_repaired_revokes_nothing(machine: Machine) -> None:
    """What is declared still keeps its flows, whatever others did to the table."""
    with machine.process(own_table=False) as running:
        running.commit(router(A, FTP))
        old = flow(machine)
        machine.kernel.netns(A).flush_ruleset()
        running.commit(router(A, FTP))
        assert running.revoke() == []
    assert old.helper == "ftp"


def test_what_came_back_in_time_keeps_its_flows(machine: Machine) -> None:
    """A debt is void where the assignment is live again when it could be paid."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        old = flow(machine)
        running.commit(router(A))
        running.commit(router(A, FTP))
        settled = only(running.revoke())
    assert (settled.flows, settled.why) == (0, "it is assigned again")
    assert old.helper == "ftp"
    assert machine.records()[A].owed == ()


def test_flows_are_counted_without_being_touched(machine: Machine) -> None:
    """What a plan says: how many flows fall under each debt."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        old = flow(machine)
        running.commit(router(A))
        (owing,) = running.reconciler.owing()
        assert running.revoker.count(owing) == {owing.owed[0]: 1}
    assert old.helper == "ftp"
