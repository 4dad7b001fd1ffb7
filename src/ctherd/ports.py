"""The seams of ctherd: what the reconciler needs from below, as Protocols over plain data.

A dataplane is batched, one call per sweep, so that it can also run behind a privilege boundary.
Failures of one netns come back as values in its place of the answer; they never end a batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

from ctherd.errors import CtherdError
from ctherd.model.assignment import AssignmentKey, Destinations, OnRevoke
from ctherd.model.catalog import Family
from ctherd.model.catalog import Protocol as L4
from ctherd.model.debt import Debt
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Live, Observation, Tag, Unchanged
from ctherd.plan.diff import Change


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a dataplane can do on this kernel.

    Shape: *guards* means that the kernel can refuse everybody else's changes to our place;
    *events* that drift is announced by the kernel, else it must be polled for.
    """

    guards: bool
    events: bool
    destinations: bool


class ObserveRequest(NamedTuple):
    """Ask for the state of *netns*; *tag* is our mark there, None if we never marked anything.

    With *known_generation* the answer is Unchanged if the kernel is still at it.
    """

    netns: NetnsName
    tag: Tag | None
    known_generation: int | None = None


class Transaction(NamedTuple):
    """Changes to one netns that shall happen at once or not at all.

    Shape: *tag* marks what is created, and must be durably recorded already; *generation* is that
    of the observation which *changes* were planned from; *repair* rebuilds our place; *claim*
    puts it under the kernel's guard.
    """

    netns: NetnsName
    tag: Tag
    generation: int
    changes: tuple[Change, ...] = ()
    repair: bool = False
    claim: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The kernel's no to one assignment, in its own words."""

    errno: int
    words: str


class Committed(NamedTuple):
    """The transaction happened, but for what the kernel *refused*; *generation* is the new one.

    Shape: *families* as in Observation, with the helpers that are new here; *refused_in* holds
    assignments that only some of their families refuse: in the others they are true.
    """

    netns: NetnsName
    generation: int
    guarded: bool
    refused: Mapping[AssignmentKey, Refusal] = MappingProxyType({})
    families: Mapping[tuple[str, L4], frozenset[Family]] = MappingProxyType({})
    refused_in: Mapping[AssignmentKey, Mapping[Family, Refusal]] = MappingProxyType({})


class Moved(NamedTuple):
    """Somebody else moved the ruleset since the observation: what is true must be observed anew.

    Nothing happened; except, where one step is not to be had, what the next observation shows.
    """

    netns: NetnsName


Observed = Observation | Unchanged | CtherdError
Outcome = Committed | Moved | CtherdError


class Dataplane(Protocol):
    """What makes assignments true in the kernel."""

    def capabilities(self) -> Capabilities:
        """Say what this dataplane can do here."""

    def identify(self, names: Sequence[NetnsName]) -> list[int | CtherdError]:
        """Return the kernel's cookie of the netns that each name leads to now.

        Equal cookies are one and the same netns. A netns stays open until it is released, or until
        its name is found to lead elsewhere.
        """

    def observe(self, requests: Sequence[ObserveRequest]) -> list[Observed]:
        """Return what the kernel says now, in the order of *requests*."""

    def commit(self, transactions: Sequence[Transaction]) -> list[Outcome]:
        """Carry out each transaction atomically, in order; each netns at most once.

        A transaction is based on this dataplane's last observation of its netns.
        """

    def release(self, names: Iterable[NetnsName]) -> None:
        """Let go of these netns, so that a deleted one can die. Unknown names are no error."""


class Revocation(NamedTuple):
    """Pay *owed* to the flows of *netns*, which has *cookie* and in which *live* is assigned now.

    Shape: *tag* is our mark there; *live* is what a flow keeps its helper for, and the only thing
    that it can be adopted by.
    """

    netns: NetnsName
    cookie: int
    tag: Tag | None
    owed: tuple[Debt, ...]
    live: Live


class Settled(NamedTuple):
    """What became of one debt, as read back from the kernel.

    Shape: *flows* lost their helper (KILL, ADOPT: their entries), with them went *expectations*;
    *data_connections* they had let in were open at the end, *ended* of them were ended; *left* are
    flows that could not be dealt with, and *why*. What is not *done* is owed still.
    """

    debt: Debt
    flows: int = 0
    expectations: int = 0
    data_connections: int = 0
    ended: int = 0
    left: int = 0
    why: str = ""
    done: bool = True


class Revoked(NamedTuple):
    """What a revocation came to, debt by debt, after so many *scans* of the flows."""

    netns: NetnsName
    cookie: int
    settled: tuple[Settled, ...]
    scans: int = 0


class Revoker(Protocol):
    """What ends, in live flows, the effect of assignments that are gone; of any dataplane.

    It has sockets of its own, and may be called from any one thread at a time.
    """

    def revoke(self, revocation: Revocation) -> Revoked | CtherdError:
        """Pay what is owed, as far as it can be paid, and read back that it was."""

    def count(self, revocation: Revocation) -> Mapping[Debt, int] | CtherdError:
        """Count the flows that fall under each debt now, and change nothing."""


class Record(NamedTuple):
    """What the journal holds of one netns: our mark there, what we made, and what is owed.

    Shape: *on_revoke* has those of *managed* that are not simply detached, *adopting* those that
    were asked to reach connections that were open already.
    """

    netns: NetnsName
    router: RouterId
    tag: Tag
    managed: Mapping[AssignmentKey, Destinations]
    on_revoke: Mapping[AssignmentKey, OnRevoke] = MappingProxyType({})
    owed: tuple[Debt, ...] = ()
    adopting: frozenset[AssignmentKey] = frozenset()


class Edit(NamedTuple):
    """A change of one record: its head is written, then *forget* leaves, then *put* enters.

    Shape: *on_revoke* and *adopting* say of *put* what they say in a Record; *paid* leaves what is
    owed, then *owe* enters it.
    """

    netns: NetnsName
    router: RouterId
    tag: Tag
    put: Mapping[AssignmentKey, Destinations] = MappingProxyType({})
    forget: tuple[AssignmentKey, ...] = ()
    on_revoke: Mapping[AssignmentKey, OnRevoke] = MappingProxyType({})
    owe: tuple[Debt, ...] = ()
    paid: tuple[Debt, ...] = ()
    adopting: frozenset[AssignmentKey] = frozenset()


class Journal(Protocol):
    """The durable memory of what this agent marked and made.

    Raises: JournalError from every method if it cannot be read or written.
    """

    def load(self) -> dict[NetnsName, Record]:
        """Return every record."""

    def record(self, edits: Sequence[Edit]) -> None:
        """Write all *edits* in one transaction that is on disk when this returns."""

    def drop(self, names: Sequence[NetnsName]) -> None:
        """Forget these netns altogether: nothing of ours is left in them."""

    def rename(self, old: NetnsName, new: NetnsName) -> None:
        """The netns that was reached by *old* is reached by *new* now."""


class Clock(Protocol):
    """Time, as a reconciler sees it."""

    def now_s(self) -> float:
        """Return monotonic seconds."""
