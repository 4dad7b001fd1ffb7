"""The last commits in memory, and the watches that follow them.

A watch that keeps up is served from here; one that lags reads the change log until it has caught
up. So no watch has a mailbox that could fill, and a slow one costs nothing but its own reads.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from ctherd.store.order import Committed
from ctherd.store.port import Alive, Batch, Disconnected, Revision

ALIVE_S: Final = 5.0
"""How long a watch is silent at most."""

_KEPT: Final = 512

ChangeLog = Callable[[Revision], Awaitable[Sequence[Committed]]]
"""Returns the next commits after a revision; raises Compacted, Unavailable."""


class Tail:
    """The commits up to *revision*, as many as fit; used in the event loop only."""

    def __init__(self, revision: Revision, older: ChangeLog, *, alive_s: float = ALIVE_S) -> None:
        self.revision = revision
        self._older = older
        self._alive_s = alive_s
        self._oldest = revision
        self._commits: list[Committed] = []
        self._moved = asyncio.Event()
        self._cuts = 0
        self._why = ""
        self._ended = False

    def append(self, commits: Sequence[Committed]) -> None:
        """These commits, which follow *revision*, are durable."""
        self._commits += commits
        self.revision = commits[-1].revision
        if len(self._commits) > 2 * _KEPT:
            self.forget(self._commits[-_KEPT - 1].revision)
        self._wake()

    def forget(self, until: Revision) -> None:
        """Let go of the commits up to *until*."""
        if until > self._oldest:
            self._oldest = until
            del self._commits[: self._index(until)]

    def cut(self, why: str) -> None:
        """End every watch that is under way with Disconnected."""
        self._cuts += 1
        self._why = why
        self._wake()

    def end(self, why: str) -> None:
        """End every watch that is under way, and every one to come."""
        self._ended = True
        self.cut(why)

    async def watch(self, prefix: str, since: Revision) -> AsyncGenerator[Batch | Alive, None]:
        """Yield what ``Store.watch`` promises."""
        cuts = self._cuts
        position = since
        if self._ended:
            raise Disconnected(self._why)
        while True:
            commits = await self._after(position)
            if commits:
                position = commits[-1].revision
            events = tuple(
                event
                for commit in commits
                for event in commit.events
                if event.key.startswith(prefix)
            )
            yield Batch(position, events) if events else Alive(position)
            await self._news(position, cuts)

    async def _after(self, position: Revision) -> Sequence[Committed]:
        if self._oldest <= position <= self.revision:
            return self._commits[self._index(position) :]
        return await self._older(position)

    async def _news(self, position: Revision, cuts: int) -> None:
        """Wait until something follows *position*, or for *alive_s*.

        Raises: Disconnected if the watch, begun after *cuts* cuts, was cut.
        """
        if self.revision <= position and self._cuts == cuts:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._alive_s):
                    await self._moved.wait()
        if self._cuts != cuts:
            raise Disconnected(self._why)

    def _index(self, revision: Revision) -> int:
        """Where the commits after *revision* begin."""
        return bisect_right(self._commits, revision, key=lambda commit: commit.revision)

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
