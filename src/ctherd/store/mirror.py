"""The store as it was a moment ago, in memory: what the server reads, and is told changes by.

It follows one watch, and resumes from the last *delivered* event. If the store has forgotten that
one, it takes a snapshot and compares, so that deletions are seen too. While the store is away it
goes on answering with what it knows, and says that it is stale, and why.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from random import Random
from typing import Final

from ctherd.store.port import (
    ABSENT,
    Alive,
    Batch,
    Compacted,
    Disconnected,
    Event,
    Revision,
    Store,
    Stored,
    Unavailable,
)
from ctherd.store.prefix import disjoint
from ctherd.store.shelf import Shelf

_logger: Final = logging.getLogger("ctherd.store")

Subscriber = Callable[[Batch], None]
"""Called in the event loop, when the mirror has what the batch says; its events concern the
mirror's keys alone. What it raises is logged, and harms nobody else."""

_FIRST_WAIT_S: Final = 0.05
_CLOSED: Final = "the mirror of the store was closed"


class Mirror:
    """Every key of *store* with one of *prefixes*; belongs to one event loop.

    Shape: *revision* is up to where it has followed; *stale* is empty, or why it lags behind.
    A watch that says nothing for *silence_s* counts as broken; to resume is tried again after a
    random part of a wait that doubles up to *longest_wait_s*.
    """

    def __init__(
        self,
        store: Store,
        prefixes: Sequence[str],
        *,
        silence_s: float = 20.0,
        longest_wait_s: float = 5.0,
    ) -> None:
        self.revision = ABSENT
        self.stale = "the mirror was not started"
        self._store = store
        self._prefixes = tuple(disjoint(prefixes))
        self._silence_s = silence_s
        self._longest_wait_s = longest_wait_s
        self._random = Random()
        self._shelf = Shelf()
        self._closed = False
        self._subscribers: list[Subscriber] = []
        self._waiters: list[tuple[Revision, asyncio.Future[None]]] = []
        self._failures = 0
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take a snapshot, then follow in a task.

        Raises: Unavailable.
        """
        self.revision, held = await self._snapshot()
        self._shelf = Shelf(held)
        self.stale = ""
        self._follower = asyncio.create_task(self._follow(), name="store-mirror")

    async def close(self) -> None:
        """Stop following; whoever waits for a revision gets Disconnected."""
        self._closed = True
        if self._follower:
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower
        self.stale = _CLOSED
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(Disconnected(_CLOSED))

    def get(self, key: str) -> Stored | None:
        """Return what is stored at *key*."""
        return self._shelf.get(key)

    def under(self, prefix: str) -> Sequence[Stored]:
        """Return what is stored at keys with *prefix*, in their order."""
        return self._shelf.under(prefix)

    async def reached(self, revision: Revision) -> None:
        """Wait until everything up to *revision* is here, and the subscribers know.

        Shape: waits as long as it takes; a store that is away takes long.
        Raises: Disconnected if the mirror is closed.
        """
        if self._closed:
            raise Disconnected(_CLOSED)
        if self.revision < revision:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((revision, future))
            await future

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call *subscriber* with every batch from now on; return what ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    # -- the task ----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            try:
                await self._listen()
            except (Disconnected, Unavailable) as error:
                self._lag(str(error))
            except Exception as error:
                _logger.exception("the mirror met what nobody expected")
                self._lag(f"the mirror failed: {error}")
            await asyncio.sleep(self._wait_s())

    async def _listen(self) -> None:
        """Take whatever the store delivers, until that ends.

        Raises: Disconnected, Unavailable.
        """
        try:
            async with aclosing(self._store.watch("", self.revision)) as watch:
                while True:
                    async with asyncio.timeout(self._silence_s):
                        delivered = await anext(watch)
                    self._take(delivered)
        except TimeoutError as error:
            raise Disconnected(f"the store said nothing for {self._silence_s:g} s") from error
        except Compacted as error:
            self._lag(str(error))
            self._take(await self._difference())

    async def _difference(self) -> Batch:
        """Return what leads from here to a new snapshot, as if it had just happened."""
        revision, stored = await self._snapshot()
        standing = {each.key for each in stored}
        changed = [Event(*each) for each in stored if self._shelf.get(each.key) != each]
        gone = [
            Event(each.key, None, revision)
            for each in self._shelf.under("")
            if each.key not in standing
        ]
        return Batch(revision, (*gone, *changed))

    async def _snapshot(self) -> tuple[Revision, Sequence[Stored]]:
        snapshot = await self._store.snapshot(*self._prefixes)
        return snapshot.revision, [each async for page in snapshot.pages for each in page]

    def _take(self, delivered: Batch | Alive) -> None:
        if self.stale:
            _logger.info("the mirror follows the store again")
        self.stale = ""
        self._failures = 0
        self.revision = delivered.revision
        if isinstance(delivered, Batch):
            self._apply(delivered)
        self._release()

    def _apply(self, batch: Batch) -> None:
        events = tuple(event for event in batch.events if event.key.startswith(self._prefixes))
        for key, value, revision in events:
            if value is None:
                self._shelf.drop(key)
            else:
                self._shelf.put(Stored(key, value, revision))
        if events:
            for subscriber in tuple(self._subscribers):
                _tell(subscriber, Batch(batch.revision, events))

    def _release(self) -> None:
        """Let go those whose revision is reached."""
        arrived = [future for revision, future in self._waiters if revision <= self.revision]
        if arrived:
            self._waiters = [each for each in self._waiters if each[0] > self.revision]
        for future in arrived:
            if not future.done():
                future.set_result(None)

    def _lag(self, why: str) -> None:
        if why != self.stale:
            _logger.warning("the mirror lags behind the store: %s", why)
        self.stale = why

    def _wait_s(self) -> float:
        """How long to leave the store alone: many servers must not come back at once."""
        wait_s = min(self._longest_wait_s, _FIRST_WAIT_S * 2 ** min(self._failures, 16))
        self._failures += 1
        return self._random.uniform(0, wait_s)


def _tell(subscriber: Subscriber, batch: Batch) -> None:
    try:
        subscriber(batch)
    except Exception:
        # Its mistake must not cost the others their news.
        _logger.exception("a subscriber of the mirror failed at revision %d", batch.revision)
