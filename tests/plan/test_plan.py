"""What a plan adds to its changes: repairs, the claim, the empty place."""

import pytest

from ctherd.model.assignment import ANY, AssignmentKey, Destinations
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Observation, Ownership
from ctherd.plan.diff import Verb
from ctherd.plan.plan import Plan, make_plan, removals

FTP = AssignmentKey(Protocol.TCP, 21, "ftp")
SIP = AssignmentKey(Protocol.UDP, 5060, "sip")
State = dict[AssignmentKey, Destinations]


def plan(
    desired: State,
    managed: State,
    live: State,
    *,
    ownership: Ownership = Ownership.OURS,
    damage: tuple[str, ...] = (),
    guarded: bool = False,
    in_sync: bool = True,
    guard_place: bool = True,
) -> Plan:
    observed = Observation(NetnsName("q1"), 7, ownership, live, damage, guarded, "pid 1")
    return make_plan(
        RouterId("edge"), desired, managed, observed, in_sync=in_sync, guard_place=guard_place
    )


def test_nothing_declared_on_an_untouched_router_is_no_plan() -> None:
    """An empty set costs nothing: no table, no hook, no transaction."""
    made = plan({}, {}, {}, ownership=Ownership.ABSENT)
    assert made.empty
    assert not made.touches_kernel


@pytest.mark.parametrize("managed", [{}, {FTP: ANY}])
def test_an_empty_table_of_ours_is_removed(managed: State) -> None:
    """Conntrack is not switched on for nothing, whatever the journal still has to forget."""
    made = plan({}, managed, {})
    assert made.repairs == ("remove our empty place",)
    assert made.touches_kernel
    assert not made.claim


@pytest.mark.parametrize("live", [{}, {FTP: ANY}])
def test_out_of_sync_the_table_is_kept(live: State) -> None:
    """An unknown set is never taken for an empty one."""
    made = plan({}, {FTP: ANY}, live, guarded=True, in_sync=False)
    assert made.empty


def test_damage_is_repaired_in_our_table_only() -> None:
    """What is not planned inside our place goes; in a foreign place it is not ours to judge."""
    damage = ("a rule that nobody planned",)
    assert plan({FTP: ANY}, {FTP: ANY}, {FTP: ANY}, damage=damage).repairs == damage
    foreign = plan({FTP: ANY}, {}, {}, ownership=Ownership.FOREIGN, damage=damage)
    assert foreign.repairs == ()
    assert not foreign.touches_kernel


@pytest.mark.parametrize(
    ("guarded", "guard_place", "claim"),
    [(False, True, True), (True, True, False), (False, False, False)],
)
def test_our_place_is_claimed_if_wanted_and_not_yet_so(
    guarded: bool, guard_place: bool, claim: bool
) -> None:
    """A claim alone is reason enough for a commit."""
    state = {FTP: ANY}
    made = plan(state, state, state, guarded=guarded, guard_place=guard_place)
    assert (made.claim, made.touches_kernel, made.changes) == (claim, claim, ())


def test_a_foreign_place_makes_conflicts_that_name_its_holder() -> None:
    """Everything desired is in conflict, and nothing touches the kernel."""
    made = plan({FTP: ANY, SIP: ANY}, {}, {}, ownership=Ownership.FOREIGN)
    assert [change.key for change in made.conflicts] == [FTP, SIP]
    assert made.holder == "pid 1"
    assert not made.touches_kernel
    assert not made.claim


def test_adopting_and_forgetting_leave_the_kernel_alone() -> None:
    """They concern only the journal."""
    made = plan({FTP: ANY}, {SIP: ANY}, {FTP: ANY}, guarded=True)
    assert [change.verb for change in made.changes] == [Verb.ADOPT, Verb.FORGET]
    assert not made.touches_kernel
    assert not made.empty


def test_removals_count_what_leaves_the_kernel() -> None:
    """Only deletes count: a replaced or forgotten assignment takes nothing from anybody."""
    both = {FTP: ANY, SIP: ANY}
    assert removals([plan({}, {}, both), plan({FTP: ANY}, both, {FTP: ANY})]) == 2
