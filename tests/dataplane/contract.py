"""A netns of some kernel, and a dataplane at work in it as the reconciler uses it.

The contract is the same for every dataplane; what a *place* is, and how somebody else damages it,
is each world's own affair.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ctherd.model.assignment import ANY, AssignmentKey, Destinations, collapse, parse_prefix
from ctherd.model.catalog import Protocol as L4
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Observation, Ownership, Tag
from ctherd.plan.diff import Change, Verb
from ctherd.plan.plan import make_plan
from ctherd.ports import Committed, Dataplane, Observed, ObserveRequest, Outcome, Transaction

FTP = AssignmentKey(L4.TCP, 21, "ftp")
FTP_2121 = AssignmentKey(L4.TCP, 2121, "ftp")
TFTP = AssignmentKey(L4.UDP, 69, "tftp")
SIP = AssignmentKey(L4.UDP, 5060, "sip")
IRC = AssignmentKey(L4.TCP, 6667, "irc")
# No declaration can say this, for the catalog knows that no kernel has it.
TFTP_ON_TCP = AssignmentKey(L4.TCP, 69, "tftp")

TAG = Tag("6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60.0123456789abcdef0123")
OTHER_TAG = "00000000-6f0c-44b4-9a4b-1b7a7d9f4f60"
V4 = collapse([parse_prefix("203.0.113.0/24")])
OTHER_V4 = collapse([parse_prefix("198.51.100.7"), parse_prefix("198.51.100.64/26")])
V6 = collapse([parse_prefix("2001:db8::/32")])
MIXED = (*V4, *V6)

Desired = Mapping[AssignmentKey, Destinations]


class World(Protocol):
    """One netns and whoever works in it.

    Shape: *vandalism* are things that somebody else may do to a place that holds FTP and TFTP.
    """

    netns: NetnsName
    stack: ExitStack
    tag: Tag

    @property
    def vandalism(self) -> Mapping[str, Callable[[], None]]: ...

    def dataplane(self, *, own_table: bool) -> Dataplane: ...
    def touch(self) -> None:
        """Let another process commit something that does not concern us."""

    def contents(self) -> list[object]:
        """Everything in our place, so that what was made anew can be told from what was kept."""

    def exists(self) -> bool:
        """Whether there is a place of our name."""

    def squat(self, comment: str) -> None:
        """Let somebody else make a place of our name, with a helper, that bears *comment*."""

    def holder(self, mark: str) -> str:
        """How the place is told of that bears *mark*, "" if none that could be of a ctherd."""

    def unhook(self, hook: str) -> None:
        """Let somebody else cut our place off from *hook*."""

    def take_out(self, key: AssignmentKey) -> None:
        """Let somebody else take out an assignment without destinations."""

    def put_in(self, key: AssignmentKey) -> None:
        """Let somebody else put one in, just as we would."""

    def destroy(self) -> None:
        """Let somebody else remove our place."""


@dataclass
class Router:
    """A dataplane at work in one netns, as the reconciler uses it."""

    world: World
    dataplane: Dataplane
    seen: Observation | None = None
    managed: dict[AssignmentKey, Destinations] = field(default_factory=dict)

    def ask(self, known_generation: int | None = None) -> Observed:
        request = ObserveRequest(self.world.netns, self.world.tag, known_generation)
        (answer,) = self.dataplane.observe([request])
        return answer

    def look(self) -> Observation:
        """Read everything anew."""
        answer = self.ask()
        assert isinstance(answer, Observation), answer
        self.seen = answer
        return answer

    def commit(
        self, *changes: Change, repair: bool = False, claim: bool = False, at: int | None = None
    ) -> Outcome:
        assert self.seen is not None
        generation = self.seen.generation if at is None else at
        (outcome,) = self.dataplane.commit(
            [Transaction(self.world.netns, self.world.tag, generation, changes, repair, claim)]
        )
        if isinstance(outcome, Committed):
            self.seen = self.seen._replace(generation=outcome.generation)
        return outcome

    def converge(self, desired: Desired) -> Committed:
        """Observe, plan and commit once."""
        seen = self.look()
        guards = self.dataplane.capabilities().guards
        plan = make_plan(*(RouterId("r"), desired, desired, seen), in_sync=True, guard_place=guards)
        outcome = self.commit(*plan.kernel_changes, repair=bool(plan.repairs), claim=plan.claim)
        assert isinstance(outcome, Committed), outcome
        return outcome

    def state(self) -> "State":
        """Read what the kernel holds in our place, all of it."""
        seen = self.look()
        return State(dict(seen.live), seen.damage, seen.ownership)


class State(NamedTuple):
    """What is in our place: assignments, damage, and whose it is."""

    live: dict[AssignmentKey, Destinations]
    damage: tuple[str, ...]
    ownership: Ownership


def whole(desired: Desired) -> State:
    """Return the state in which the kernel holds *desired*, and nothing else in our place."""
    return State(dict(desired), (), Ownership.OURS if desired else Ownership.ABSENT)


def make_router(world: World, *, own_table: bool = True) -> Router:
    dataplane = world.dataplane(own_table=own_table)
    world.stack.callback(dataplane.release, [world.netns])
    return Router(world, dataplane)


def create(key: AssignmentKey, destinations: Destinations = ANY) -> Change:
    return Change(Verb.CREATE, key, None, destinations)


def delete(key: AssignmentKey) -> Change:
    return Change(Verb.DELETE, key, ANY, None)


def succeed(outcome: Outcome) -> Committed:
    assert isinstance(outcome, Committed), outcome
    assert outcome.refused == {}
    return outcome
