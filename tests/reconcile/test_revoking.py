"""What flows are owed when an assignment goes, moves, shrinks or comes, and that they get it."""

import errno
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest

from ctherd.dataplane import survey_rules
from ctherd.dataplane.finding import Finding, FindingKind, Place, PortRange, Scope
from ctherd.dataplane.nftables import layout
from ctherd.errors import DataplaneError
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.model.assignment import Assignment, OnRevoke
from ctherd.model.catalog import Protocol
from ctherd.model.debt import Action
from ctherd.model.document import Document, NetnsName
from ctherd.ports import Revoked, Settled
from ctherd.testing.conntrack.flows import Flow, Tuple
from tests.reconcile.machine import FTP, SIP, TFTP, A, B, Died, Machine, assignment, router

CLIENT, SERVER, OTHER = "192.0.2.1", "203.0.113.5", "198.51.100.7"
FTP_SCOPED: Final = assignment("ftp", Protocol.TCP, 21, "203.0.113.0/24")
FTP_2121: Final = assignment("ftp", Protocol.TCP, 2121)
ALIAS_SIP: Final = assignment("sip", Protocol.TCP, 21)


def killing(given: Assignment) -> Assignment:
    return replace(given, on_revoke=OnRevoke.KILL)


def leaving(given: Assignment) -> Assignment:
    return replace(given, on_revoke=OnRevoke.LEAVE)


def adopting(given: Assignment) -> Assignment:
    return replace(given, adopt_flows=True)


def direction(source: str, target: str, ports: tuple[int, int], protocol: Protocol) -> Tuple:
    return Tuple(ip_address(source).packed, ip_address(target).packed, protocol.number, *ports)


def flow(
    machine: Machine,
    helper: str | None = "ftp",
    *,
    server: str = SERVER,
    port: int = 21,
    protocol: Protocol = Protocol.TCP,
    netns: NetnsName = A,
    master: Flow | None = None,
    at: int = 0,
) -> Flow:
    """Track a flow to *port* of *server*; *at* tells it from others to the same place."""
    v6 = ":" in server
    client = "2001:db8::1" if v6 else CLIENT
    there = direction(client, server, (40000 + at, port), protocol)
    back = direction(server, client, (port, 40000 + at), protocol)
    made = Flow(10 if v6 else 2, there, back, helper=helper, master=master)
    return machine.kernel.netns(netns).conntrack.track(made)


def flows(machine: Machine, netns: NetnsName = A) -> list[Flow]:
    return machine.kernel.netns(netns).conntrack.flows


def expect(machine: Machine, master: Flow, port: int) -> None:
    awaited = direction(CLIENT, SERVER, (0, port), Protocol.TCP)
    machine.kernel.netns(A).conntrack.expect(master, awaited)


def only(outcomes: Sequence[Revoked]) -> Settled:
    """The one debt that was settled."""
    ((settled,),) = [each.settled for each in outcomes]
    return settled


def after(machine: Machine, *stages: Sequence[Document]) -> list[Revoked]:
    """Go through *stages* in one process; return what the last one revoked."""
    with machine.process() as running:
        for stage in stages:
            running.commit(*stage)
            revoked = running.revoke()
        assert running.revoke() == []
    return revoked


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


def test_a_foreign_rule_of_the_same_kind(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose helper it was cannot be told: flows are left, and the rule is named."""
    rival = _rival("ftp", 21)
    monkeypatch.setattr(survey_rules, "find", lambda _: iter([rival]))
    with machine.process() as running:
        running.commit(router(A, FTP, TFTP))
        left, mine = flow(machine), flow(machine, "tftp", port=69, protocol=Protocol.UDP)
        running.commit(router(A))
        (revoked,) = running.revoke()
    by_helper = {each.debt.key.helper: each for each in revoked.settled}
    assert (by_helper["ftp"].flows, by_helper["ftp"].left) == (0, 1)
    assert str(rival) in by_helper["ftp"].why
    assert by_helper["tftp"].flows == 1
    assert (left.helper, mine.helper) == ("ftp", None)


def _rival(helper: str, port: int) -> Finding:
    place = Place("ip", "raw", "PREROUTING", 4)
    scope = Scope("tcp", (PortRange(port, port),))
    return Finding(FindingKind.HELPER_FIRST, place, "gives it first", scope, helper)


def test_packets_under_way(machine: Machine) -> None:
    """Flows that appear with the helper between two scans are found by the next."""
    scans = _scans(machine, lambda n: flow(machine, at=n) if n <= 2 else None)
    with machine.process() as running:
        running.commit(router(A, FTP))
        flow(machine, at=99)
        running.commit(router(A))
        machine.kernel.after_datagram = scans
        settled = only(running.revoke())
    assert (settled.flows, settled.left) == (3, 0)
    assert {each.helper for each in flows(machine)} == {None}


def test_flows_without_end(machine: Machine) -> None:
    """If they keep coming, it is said, and owed still."""
    scans = _scans(machine, lambda n: flow(machine, at=n))
    with machine.process() as running:
        running.commit(router(A, FTP))
        running.commit(router(A))
        machine.kernel.after_datagram = scans
        settled = only(running.revoke())
        assert not settled.done
        assert settled.left == 1
        assert "keep appearing" in settled.why
        assert machine.records()[A].owed == (settled.debt,)
        machine.kernel.after_datagram = None
        assert only(running.revoke()).done
    machine.holds()


def _scans(machine: Machine, make: Callable[[int], object]) -> Callable[..., None]:
    """Return a hook that calls *make* with the number of each scan of flows, after it."""
    count = 0

    def hook(_netns: object, datagram: bytes) -> None:
        nonlocal count
        if int.from_bytes(datagram[4:6], "little") == 1 << 8 | 1:
            count += 1
            make(count)

    return hook


def test_an_error_leaves_the_debt(machine: Machine) -> None:
    """A kernel that cannot be asked is asked again; nothing is said to be done."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        old = flow(machine)
        running.commit(router(A))
        (owing,) = running.reconciler.owing()
        machine.kernel.netns(A).fail_next("send", errno.EPERM)
        assert isinstance(running.revoker.revoke(owing), DataplaneError)
        assert machine.records()[A].owed == owing.owed
        assert only(running.revoke()).flows == 1
    assert old.helper is None
    machine.holds()


def test_nothing_in_a_netns_of_the_same_name(machine: Machine) -> None:
    """Flows of another netns are not those that were meant."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        running.commit(router(A))
        (owing,) = running.reconciler.owing()
        machine.kernel.netns(A).recreate()
        old = flow(machine)
        outcome = running.revoker.revoke(owing)
    assert "another network namespace" in str(outcome)
    assert old.helper == "ftp"


def test_a_foreign_table_in_our_place(machine: Machine) -> None:
    """While somebody else has the table of our name, nobody can tell whose flows there are."""
    after(machine, [router(A, FTP)])
    old = flow(machine)
    netns = machine.kernel.netns(A)
    with netns.stranger() as other:
        assert (netns.flush_ruleset(), other.add_table(layout.TABLE)) == (0, 0)
        with machine.process() as running:
            running.commit(router(B, FTP))
            assert running.revoke() == []
            assert (old.helper, len(machine.records()[A].owed)) == ("ftp", 1)
        assert other.delete_table(layout.TABLE) == 0
    assert only(after(machine, [router(B, FTP)])).flows == 1
    machine.holds(router(B, FTP))


@pytest.mark.parametrize("killed", [False, True])
def test_death_between_commit_and_revocation(tmp_path: Path, killed: bool) -> None:
    """Killed at any datagram or write, the next run pays what is owed: no flow keeps its helper."""
    died, die_at = True, 0
    while died:
        die_at += 1
        directory = tmp_path / str(die_at)
        directory.mkdir()
        machine = Machine(directory)
        first = [router(A, killing(FTP) if killed else FTP, TFTP), router(B, FTP)]
        after(machine, first)
        gone, kept = flow(machine), flow(machine, "tftp", port=69, protocol=Protocol.UDP)
        narrowed = flow(machine, netns=B, server=OTHER)
        final = [router(A, TFTP), router(B, FTP_SCOPED)]
        died = _die_at(machine, final, die_at)
        machine.nothing_is_orphaned()
        after(machine, final)
        assert (gone not in flows(machine)) if killed else (gone.helper is None), die_at
        assert (kept.helper, narrowed.helper) == ("tftp", None), die_at
        machine.holds(*final)
    assert die_at > 20


def _die_at(machine: Machine, final: list[Document], die_at: int) -> bool:
    try:
        with machine.process(die_at=die_at) as running:
            running.commit(*final)
            running.revoke()
    except Died:
        return True
    return False


# -- adopting --------------------------------------------------------------------------------------


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


def test_death_before_open_flows_were_reached(tmp_path: Path) -> None:
    """Killed at any datagram or write, the next run lets go of them."""
    died, die_at = True, 0
    while died:
        die_at += 1
        directory = tmp_path / str(die_at)
        directory.mkdir()
        machine = Machine(directory)
        after(machine, [router(A, FTP, TFTP)])
        flow(machine, None)
        final = [router(A, adopting(FTP), TFTP)]
        died = _die_at(machine, final, die_at)
        after(machine, final)
        assert flows(machine) == [], die_at
        machine.holds(*final)
    assert die_at > 5


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


def test_flows_are_counted_without_being_touched(machine: Machine) -> None:
    """What a plan says: how many flows fall under each debt."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        old = flow(machine)
        running.commit(router(A))
        (owing,) = running.reconciler.owing()
        assert running.revoker.count(owing) == {owing.owed[0]: 1}
    assert old.helper == "ftp"
