"""A store in memory: the shipped fake, which passes the suite of the real ones.

Faults are planted, and met once: a disk or a network would bring them when nobody looks.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from enum import Enum, auto

from ctherd.store.order import Committed, Order
from ctherd.store.port import (
    ABSENT,
    Alive,
    Batch,
    Compacted,
    Conflict,
    Disconnected,
    Event,
    Expect,
    OutcomeUnknown,
    Put,
    Revision,
    Snapshot,
    Stored,
    Unavailable,
    Write,
)
from ctherd.store.tail import ALIVE_S, Tail


class Fault(Enum):
    """What can befall a commit."""

    UNAVAILABLE = auto()
    LOST_BEFORE = auto()
    """OutcomeUnknown, and it did not happen."""
    LOST_AFTER = auto()
    """OutcomeUnknown, and it happened."""


class MemoryStore:
    """A ``Store`` that forgets everything at its end.

    Shape: *away*, when not empty, is why every call raises Unavailable; watches are cut by
    ``disconnect``.
    """

    def __init__(self, *, epoch: int = 1, alive_s: float = ALIVE_S) -> None:
        self.away = ""
        self._epoch = epoch
        self._severed = ""
        self._faults: deque[Fault] = deque()
        self._stored: dict[str, Stored] = {}
        self._log: list[Committed] = []
        self._done: dict[str, Revision] = {}
        self._compacted = Revision(0)
        self._tail = Tail(Revision(0), self._changes, alive_s=alive_s)

    # -- what a test plans -------------------------------------------------------------------------

    def plant(self, fault: Fault) -> None:
        """Let the next commit without one meet *fault*."""
        self._faults.append(fault)

    def disconnect(self, why: str = "the connection was cut", *, stay: bool = False) -> None:
        """End every watch that is under way, and if it is to *stay* so, every one to come."""
        self._severed = why if stay else ""
        self._tail.cut(why)

    def reconnect(self) -> None:
        """Let watches work again."""
        self._severed = ""

    # -- the store ---------------------------------------------------------------------------------

    async def epoch(self) -> int:
        """Return the epoch it was made with."""
        await self._reach()
        return self._epoch

    async def snapshot(self, *prefixes: str) -> Snapshot:
        """Return every key with one of *prefixes*, at one revision."""
        await self._reach()
        found = self._under(prefixes or ("",))
        return Snapshot(self._tail.revision, self._pages(found))

    async def get(self, key: str) -> Stored | None:
        """Return what stands at *key*."""
        await self._reach()
        return self._stored.get(key)

    async def page(
        self, prefix: str, *, after: str = "", limit: int = 1000, newest_first: bool = False
    ) -> Sequence[Stored]:
        """Return up to *limit* keys with *prefix* beyond *after*."""
        await self._reach()
        found = self._under((prefix,))
        if newest_first:
            found = [each for each in reversed(found) if not after or each.key < after]
        else:
            found = [each for each in found if each.key > after]
        return found[:limit]

    async def commit(
        self, expects: Sequence[Expect], writes: Sequence[Write], *, write_id: str
    ) -> Revision | Conflict:
        """Carry out all *writes* at once, or meet a planted fault."""
        order = Order(expects, writes, write_id)
        await self._reach()
        fault = self._faults.popleft() if self._faults else None
        if fault is Fault.UNAVAILABLE:
            raise Unavailable("a planted fault")
        if fault is Fault.LOST_BEFORE:
            raise OutcomeUnknown("a planted fault")
        answer = self._carried_out(order)
        if fault is Fault.LOST_AFTER:
            raise OutcomeUnknown("a planted fault")
        return answer

    async def outcome(self, write_id: str) -> Revision | None:
        """Return the revision that *write_id* was committed at."""
        await self._reach()
        return self._done.get(write_id)

    async def watch(self, prefix: str, since: Revision) -> AsyncGenerator[Batch | Alive, None]:
        """Yield what happened to keys with *prefix* after *since*."""
        if self._severed:
            raise Disconnected(self._severed)
        async with aclosing(self._tail.watch(prefix, since)) as watch:
            async for each in watch:
                yield each

    async def compact(self, keep: int) -> Revision:
        """Forget all but the last *keep* commits."""
        await self._reach()
        forgotten = self._log[: max(0, len(self._log) - keep)]
        if forgotten:
            del self._log[: len(forgotten)]
            self._compacted = forgotten[-1].revision
            self._tail.forget(self._compacted)
        return self._compacted

    async def close(self) -> None:
        """End every watch, and refuse everything from now on."""
        self.away = self.away or "the store is closed"
        self._tail.end("the store was closed")

    async def _reach(self) -> None:
        # Others get their turn at every call, as with a disk or a network: races show here, too.
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable(self.away)

    def _under(self, prefixes: tuple[str, ...]) -> list[Stored]:
        return [self._stored[key] for key in sorted(self._stored) if key.startswith(prefixes)]

    def _carried_out(self, order: Order) -> Revision | Conflict:
        if order.write_id in self._done:
            return self._done[order.write_id]
        for key, revision in order.expects:
            current = self._stored.get(key)
            if (current.revision if current else ABSENT) != revision:
                return Conflict(key, current)
        revision = Revision(self._tail.revision + 1)
        events = tuple(
            Event(write.key, write.value if isinstance(write, Put) else None, revision)
            for write in order.writes
            if isinstance(write, Put) or write.key in self._stored
        )
        self._keep(Committed(revision, events), order.write_id)
        return revision

    def _keep(self, commit: Committed, write_id: str) -> None:
        for key, value, revision in commit.events:
            if value is None:
                del self._stored[key]
            else:
                self._stored[key] = Stored(key, value, revision)
        self._done[write_id] = commit.revision
        self._log.append(commit)
        self._tail.append([commit])

    async def _pages(self, found: Sequence[Stored]) -> AsyncGenerator[Sequence[Stored], None]:
        for start in range(0, len(found), 100):
            await self._reach()
            yield found[start : start + 100]

    async def _changes(self, since: Revision) -> Sequence[Committed]:
        await self._reach()
        if not self._compacted <= since <= self._tail.revision:
            raise Compacted(self._compacted)
        start = bisect_right(self._log, since, key=lambda commit: commit.revision)
        return self._log[start : start + 100]
