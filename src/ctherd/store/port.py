"""The store as the server sees it: revisioned keys, commits with expectations, a watch.

The contract is one that an embedded SQLite file and a clustered store can both keep, so nothing may
enter here that only one of them could: no interactive transactions, no SQL, no files.

A *revision* is opaque, increasing and sparse. A commit has exactly one, and is never split over two
batches of a watch. A key's revision is that of the commit which wrote it last; 0 means absent.

Keys are text, not empty, and in the order of their code points.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, NewType, Protocol

from ctherd.errors import CtherdError

Revision = NewType("Revision", int)

ABSENT: Final = Revision(0)
"""Expected of a key that must not exist."""


class Stored(NamedTuple):
    """A key as it is now: its *value*, and the *revision* of the commit that wrote it."""

    key: str
    value: bytes
    revision: Revision


class Expect(NamedTuple):
    """A commit happens only if *key* is still at *revision* (ABSENT: does not exist)."""

    key: str
    revision: Revision


class Put(NamedTuple):
    """Write *value* at *key*, whether or not it exists."""

    key: str
    value: bytes


class Delete(NamedTuple):
    """Remove *key*; removing what is absent is no error, and no event."""

    key: str


Write = Put | Delete


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing happened: an expectation did not hold, and *current* is what stands at that key."""

    key: str
    current: Stored | None


class Event(NamedTuple):
    """What a commit did to one key; *value* None: it was deleted."""

    key: str
    value: bytes | None
    revision: Revision


@dataclass(frozen=True, slots=True)
class Batch:
    """One or more whole commits, in their order; *revision* is that of the last."""

    revision: Revision
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing new; everything up to *revision* was delivered."""

    revision: Revision


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every key with one of some prefixes, all at *revision*, in order of keys, page by page.

    Raises: Unavailable while the pages are read. Pages that nobody wants any more: ``aclose()``.
    """

    revision: Revision
    pages: AsyncGenerator[Sequence[Stored], None]


class Unavailable(CtherdError):
    """The store cannot be read or written now: locked, full, corrupt, or away. Nothing happened."""

    code = "store-unavailable"


class OutcomeUnknown(CtherdError):
    """The commit was sent and its answer lost: ask ``outcome`` of its write id before any retry."""

    code = "store-outcome-unknown"


class Compacted(CtherdError):
    """The watch cannot resume: what followed that revision is gone. Take a snapshot."""

    code = "store-compacted"

    def __init__(self, revision: Revision) -> None:
        super().__init__(f"the store remembers changes only since revision {revision}")
        self.revision = revision


class Disconnected(CtherdError):
    """The watch broke; it may be resumed from the last delivered revision."""

    code = "store-disconnected"


class Pages(Protocol):
    """What can be read page by page; Raises: Unavailable."""

    async def page(
        self, prefix: str, *, after: str = "", limit: int = 1000, newest_first: bool = False
    ) -> Sequence[Stored]:
        """Return up to *limit* keys with *prefix* beyond *after*, in (reverse) order of keys.

        For what is too much for a snapshot; two pages may be of different revisions.
        """


class Store(Pages, Protocol):
    """Where the server keeps everything that must outlive it.

    Raises: Unavailable from every method.
    """

    async def epoch(self) -> int:
        """Return which life of the store this is: 1, and one more after each restore."""

    async def snapshot(self, *prefixes: str) -> Snapshot:
        """Return every key that starts with one of *prefixes* (without any: all), at one revision.

        Shape: everything that was committed before the call is in it.
        """

    async def get(self, key: str) -> Stored | None:
        """Return *key* as the last acknowledged commit left it (linearizable)."""

    async def commit(
        self, expects: Sequence[Expect], writes: Sequence[Write], *, write_id: str
    ) -> Revision | Conflict:
        """Carry out all *writes* at once, durably, if all of *expects* hold.

        Shape: *write_id* is a random UUID of what the caller wants done once: if it was committed
        before, that revision is the answer, and nothing happens again. Each key at most once in
        *writes*.
        Raises: OutcomeUnknown, Unavailable; LocalProtocolError if *writes* have a key twice.
        """

    async def outcome(self, write_id: str) -> Revision | None:
        """Return the revision that *write_id* was committed at, None if it never happened.

        Shape: remembered at least as long as the watch remembers its events.
        """

    def watch(self, prefix: str, since: Revision) -> AsyncGenerator[Batch | Alive, None]:
        """Yield what happened to keys with *prefix* after *since*, and Alive now and then.

        Shape: the first comes at once, Alive if nothing happened. Commits that concern no key
        with *prefix* yield nothing but Alive.
        Raises: Compacted (also if *since* is of another life of the store, and yet to come in
        this one), Disconnected.
        """

    async def compact(self, keep: int) -> Revision:
        """Forget all but the last *keep* commits; return the oldest revision to resume from."""

    async def close(self) -> None:
        """Let go of everything; a watch that is under way ends with Disconnected."""
