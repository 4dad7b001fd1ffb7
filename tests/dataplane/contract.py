"""A netns of either kernel, and a dataplane at work in it as the reconciler uses it."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.dataplane import NamespaceOpener, NftablesDataplane
from ctherd.model.assignment import ANY, AssignmentKey, Destinations, collapse, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Observation, Ownership, Tag
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import Operation, Request, TableFlag
from ctherd.plan.diff import Change, Verb
from ctherd.plan.plan import make_plan
from ctherd.ports import Committed, Observed, ObserveRequest, Outcome, Transaction

FTP = AssignmentKey(Protocol.TCP, 21, "ftp")
FTP_2121 = AssignmentKey(Protocol.TCP, 2121, "ftp")
TFTP = AssignmentKey(Protocol.UDP, 69, "tftp")
SIP = AssignmentKey(Protocol.UDP, 5060, "sip")
IRC = AssignmentKey(Protocol.TCP, 6667, "irc")
# No declaration can say this, for the catalog knows that no kernel has it.
TFTP_ON_TCP = AssignmentKey(Protocol.TCP, 69, "tftp")

TAG = Tag("6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60")
OTHER_TAG = "00000000-6f0c-44b4-9a4b-1b7a7d9f4f60"
V4 = collapse([parse_prefix("203.0.113.0/24")])
OTHER_V4 = collapse([parse_prefix("198.51.100.7"), parse_prefix("198.51.100.64/26")])
V6 = collapse([parse_prefix("2001:db8::/32")])
MIXED = (*V4, *V6)


@dataclass
class World:
    """One netns of some kernel, and whoever works in it."""

    opener: NamespaceOpener
    netns: NetnsName
    stack: ExitStack
    tag: Tag = TAG

    def dialogue(self) -> Dialogue:
        """Another process, which has a socket of its own."""
        opened = self.opener.open(self.netns)
        self.stack.callback(opened.close)
        return Dialogue(opened.transport, self.netns)

    def stranger(self, *requests: Request) -> None:
        """Let another process commit something."""
        assert self.dialogue().commit(requests, None) == []

    def touch(self) -> None:
        """Let another process commit something that does not concern us."""
        unrelated = nft.new_table("unrelated", TableFlag(0), "", exclusive=True)
        self.stranger(unrelated, nft.del_table("unrelated"))

    def contents(self) -> list[bytes]:
        """Everything in the table of our name, handles included, as the kernel writes it."""
        dialogue = self.dialogue()
        table = layout.TABLE
        found = []
        for operation, body in (
            (Operation.GETCHAIN, nft.object_table(table)),
            (Operation.GETRULE, nft.object_table(table)),
            (Operation.GETSET, nft.object_table(table)),
            (Operation.GETOBJ, nft.object_table(table)),
        ):
            for message in dialogue.dump(operation, body):
                if b"ctherd\0" in bytes(message.body):
                    found.append(bytes(message.body[4:]))
        return found

    def table_exists(self) -> bool:
        return self.dialogue().ask(Operation.GETTABLE, nft.table_name(layout.TABLE)) is not None


@dataclass
class Router:
    """A dataplane at work in one netns, as the reconciler uses it."""

    world: World
    dataplane: NftablesDataplane
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

    def converge(self, desired: Mapping[AssignmentKey, Destinations]) -> Committed:
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


def whole(desired: Mapping[AssignmentKey, Destinations]) -> State:
    """Return the state in which the kernel holds *desired*, and nothing else in our place."""
    return State(dict(desired), (), Ownership.OURS if desired else Ownership.ABSENT)


def create(key: AssignmentKey, destinations: Destinations = ANY) -> Change:
    return Change(Verb.CREATE, key, None, destinations)


def delete(key: AssignmentKey) -> Change:
    return Change(Verb.DELETE, key, ANY, None)


def succeed(outcome: Outcome) -> Committed:
    assert isinstance(outcome, Committed), outcome
    assert outcome.refused == {}
    return outcome


def make_router(world: World, *, own_table: bool = True) -> Router:
    dataplane = NftablesDataplane(world.opener, own_table=own_table)
    world.stack.callback(dataplane.release, [world.netns])
    return Router(world, dataplane)
