"""Laws of planning, held against a tiny simulator of a kernel and a journal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Observation, Ownership
from ctherd.plan.diff import Change, Verb
from ctherd.plan.plan import Plan, make_plan
from tests.model.strategies import states

State = dict[AssignmentKey, Destinations]


@dataclass
class World:
    """One netns and what the journal has of it.

    A commit does what a dataplane promises: all changes at once, repairs, the claim; and a table
    that is left without assignments is removed.
    """

    live: State
    managed: State
    ownership: Ownership
    damage: tuple[str, ...] = ()
    guarded: bool = False
    commits: list[Plan] = field(default_factory=list)

    def plan(self, desired: State, *, in_sync: bool = True) -> Plan:
        live = {} if self.ownership is Ownership.ABSENT else dict(self.live)
        observed = Observation(NetnsName("q1"), 1, self.ownership, live, self.damage, self.guarded)
        return make_plan(
            RouterId("r"), desired, dict(self.managed), observed, in_sync=in_sync, guard_place=True
        )

    def steps(self, plan: Plan) -> Iterator[Callable[[], None]]:
        """What applying is made of, in order; the agent can die between any two."""
        yield lambda: self.record(plan)
        if plan.touches_kernel:
            yield lambda: self.commit(plan)
        yield lambda: self.forget(plan)

    def apply(self, plan: Plan) -> None:
        for step in self.steps(plan):
            step()

    def record(self, plan: Plan) -> None:
        for change in plan.changes:
            if change.verb in (Verb.CREATE, Verb.REPLACE, Verb.ADOPT):
                self.managed[change.key] = _after(change)

    def commit(self, plan: Plan) -> None:
        assert self.ownership is not Ownership.FOREIGN, "a foreign place was touched"
        self.commits.append(plan)
        for change in plan.kernel_changes:
            if change.verb is Verb.DELETE:
                del self.live[change.key]
            else:
                self.live[change.key] = _after(change)
        self.damage = ()
        self.guarded = bool(self.live)
        self.ownership = Ownership.OURS if self.live else Ownership.ABSENT

    def forget(self, plan: Plan) -> None:
        for change in plan.changes:
            if change.verb in (Verb.DELETE, Verb.FORGET):
                self.managed.pop(change.key, None)


def _after(change: Change) -> Destinations:
    assert change.after is not None
    return change.after


@st.composite
def worlds(draw: st.DrawFn, ownership: Ownership | None = None) -> World:
    whose = ownership or draw(st.sampled_from(Ownership))
    live = {} if whose is Ownership.ABSENT else draw(states())
    damage = draw(st.sampled_from([(), ("a chain is missing",)]))
    ours = whose is Ownership.OURS
    return World(live, draw(states()), whose, damage if ours else (), ours and draw(st.booleans()))


ours_or_absent = st.sampled_from([Ownership.OURS, Ownership.ABSENT]).flatmap(worlds)


@given(ours_or_absent, states())
def test_one_apply_makes_it_true_and_the_next_plan_empty(world: World, desired: State) -> None:
    """Applying converges in one step, whatever was there; live and managed are what was asked."""
    world.apply(world.plan(desired))
    assert world.live == desired
    assert world.managed == desired
    assert world.ownership is (Ownership.OURS if desired else Ownership.ABSENT)
    assert world.plan(desired).empty


@given(st.lists(states(), min_size=1, max_size=2), st.data())
def test_an_empty_plan_means_that_all_three_are_equal(
    some: list[State], data: st.DataObject
) -> None:
    """In a place of ours, in sync: what differs is in the plan, and an empty place is not kept."""
    live, managed, desired = (dict(data.draw(st.sampled_from(some))) for _ in range(3))
    world = World(live, managed, Ownership.OURS, (), guarded=True)
    assert world.plan(desired).empty == (live == managed == desired != {})


@given(worlds(Ownership.FOREIGN), states(), st.booleans())
def test_what_is_foreign_stays_untouched(world: World, desired: State, in_sync: bool) -> None:
    """Nothing in a foreign place changes; what was desired there is reported as conflict."""
    before = dict(world.live)
    plan = world.plan(desired, in_sync=in_sync)
    world.apply(plan)
    assert world.live == before
    assert world.commits == []
    assert [change.key for change in plan.conflicts] == list(desired)


@given(worlds(), states())
def test_out_of_sync_nothing_is_removed_or_forgotten(world: World, desired: State) -> None:
    """Before the complete desired state has come, the agent may add and never take away."""
    live, managed = set(world.live), set(world.managed)
    world.apply(world.plan(desired, in_sync=False))
    assert live <= set(world.live)
    assert managed <= set(world.managed)


@given(ours_or_absent, states(), st.integers(0, 3), states())
def test_a_crash_between_any_two_steps_still_converges(
    world: World, desired: State, survived: int, declared_meanwhile: State
) -> None:
    """Whatever of a plan happened before the agent died, the next one ends where it should."""
    for step in list(world.steps(world.plan(desired)))[:survived]:
        step()
    world.apply(world.plan(declared_meanwhile))
    assert world.live == declared_meanwhile
    assert world.managed == declared_meanwhile
    assert world.plan(declared_meanwhile).empty


@given(ours_or_absent, states(), st.integers(0, 3))
def test_at_every_moment_what_is_ours_and_live_was_recorded_first(
    world: World, desired: State, survived: int
) -> None:
    """The journal runs ahead of the kernel: nothing of ours is ever live and unrecorded."""
    unrecorded_before = world.live.keys() - world.managed.keys()
    for step in list(world.steps(world.plan(desired)))[:survived]:
        step()
        assert world.live.keys() - world.managed.keys() <= unrecorded_before


@given(ours_or_absent, st.lists(states(), min_size=1, max_size=4))
def test_only_the_last_declaration_counts(world: World, declared: list[State]) -> None:
    """Many changes coalesced into one lead to the same kernel as each of them applied."""
    other = World(
        dict(world.live), dict(world.managed), world.ownership, world.damage, world.guarded
    )
    for desired in declared:
        world.apply(world.plan(desired))
    other.apply(other.plan(declared[-1]))
    assert (world.live, world.ownership) == (other.live, other.ownership)
