"""Open flows that an assignment adopts are let go once, and no others."""

from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.model.debt import Action
from tests.reconcile.live_flows import FTP_SCOPED, OTHER, adopting, after, flow, flows, only
from tests.reconcile.machine import FTP, TFTP, A, Machine, router


def test_a_new_assignment_leaves_open_flows_alone(machine: Machine) -> None:
    """Unless it is asked for, nothing of conntrack is touched."""
    with machine.process() as running:
        old = flow(machine, None)
        running.commit(router(A, FTP))
        assert running.revoke() == []
    assert flows(machine) == [old]


def test_adopted_flows_are_let_go(machine: Machine) -> None:
    """Those to this port and destination that have no helper, and no others."""
    helped = flow(machine, at=1)
    others = [
        flow(machine, None, port=80),
        flow(machine, None, server=OTHER),
        # What a helper expected has its own master, and would be taken for a stranger.
        flow(machine, None, at=2, master=helped),
        helped,
    ]
    flow(machine, None)
    with machine.process() as running:
        running.commit(router(A, adopting(FTP_SCOPED)))
        settled = only(running.revoke())
        assert (settled.debt.action, settled.flows, settled.left) == (Action.ADOPT, 1, 0)
    assert set(map(id, flows(machine))) == set(map(id, others))
    machine.holds(router(A, FTP_SCOPED))


def test_wider_destinations_adopt_and_a_restart_does_not(machine: Machine) -> None:
    """Only what reaches further than before concerns flows that are open."""
    after(machine, [router(A, adopting(FTP_SCOPED))])
    inside = flow(machine, None)
    after(machine, [router(A, adopting(FTP_SCOPED))])
    assert flows(machine) == [inside]
    assert only(after(machine, [router(A, adopting(FTP))])).flows == 1


def test_what_adopts_from_now_on_reaches_open_flows(machine: Machine) -> None:
    """Declared so later, nothing changes in the kernel; those without helper are let go once."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        helped, old = flow(machine, at=1), flow(machine, None)
        assert running.commit(router(A, adopting(FTP))) == []
        settled = only(running.revoke())
        assert (settled.debt.action, settled.flows) == (Action.ADOPT, 1)
        assert old not in flows(machine)
        later = flow(machine, None)
        running.commit(router(A, adopting(FTP), TFTP))
        assert running.revoke() == []
    assert after(machine, [router(A, adopting(FTP), TFTP)]) == []
    assert flows(machine) == [helped, later]
    again = [[router(A, FTP, TFTP)], [router(A, adopting(FTP), TFTP)]]
    assert only(after(machine, *again)).flows == 1


def test_what_is_denied_adopts_nothing(machine: Machine) -> None:
    """The machine's own policy counts, also for what was declared before."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        old = flow(machine, None)
        running.reconciler.set_guard(Guard(Policy(allow_adopt_flows=False)))
        running.commit(router(A, adopting(FTP)))
        assert [each.settled[0].debt.action for each in running.revoke()] == [Action.DETACH]
    assert flows(machine) == [old]


def test_a_router_that_picks_up_no_connections(machine: Machine) -> None:
    """There TCP connections would break: they are left, and it is said why."""
    old = flow(machine, None)
    with machine.process() as running:
        running.picks_up = False
        running.commit(router(A, adopting(FTP)))
        settled = only(running.revoke())
    assert (settled.flows, settled.left) == (0, 1)
    assert "nf_conntrack_tcp_loose" in settled.why
    assert flows(machine) == [old]
