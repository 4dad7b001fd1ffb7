"""A store that counts what becomes of its commits, and how long they take; for Prometheus.

It is a store like the one below it, so that nobody who writes can forget to count.
"""

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Final

from prometheus_client import Counter, Histogram, Metric
from prometheus_client.registry import Collector

from ctherd.store.port import (
    Alive,
    Batch,
    Conflict,
    Expect,
    OutcomeUnknown,
    Revision,
    Snapshot,
    Store,
    Stored,
    Unavailable,
    Write,
)

_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_OUTCOMES: Final = ("committed", "conflict", "unavailable", "unknown")


class MeasuredStore(Collector):
    """Does what *store* does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._commits = Counter(
            "ctherd_store_commits",
            "Commits that the store was asked for, by what became of them.",
            ["outcome"],
            registry=None,
        )
        for outcome in _OUTCOMES:
            self._commits.labels(outcome)
        self._seconds = Histogram(
            "ctherd_store_commit_seconds",
            "Time of a commit, until it is durable or has failed.",
            buckets=_BUCKETS,
            registry=None,
        )

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted."""
        yield from self._commits.collect()
        yield from self._seconds.collect()

    async def commit(
        self, expects: Sequence[Expect], writes: Sequence[Write], *, write_id: str
    ) -> Revision | Conflict:
        """Commit, and count what came of it."""
        begin = time.perf_counter()
        outcome = ""
        try:
            answer = await self._store.commit(expects, writes, write_id=write_id)
            outcome = "conflict" if isinstance(answer, Conflict) else "committed"
        except Unavailable:
            outcome = "unavailable"
            raise
        except OutcomeUnknown:
            outcome = "unknown"
            raise
        finally:
            if outcome:
                self._commits.labels(outcome).inc()
                self._seconds.observe(time.perf_counter() - begin)
        return answer

    # -- as below ----------------------------------------------------------------------------------

    async def epoch(self) -> int:
        """As the store."""
        return await self._store.epoch()

    async def page(
        self, prefix: str, *, after: str = "", limit: int = 1000, newest_first: bool = False
    ) -> Sequence[Stored]:
        """As the store."""
        return await self._store.page(prefix, after=after, limit=limit, newest_first=newest_first)

    async def snapshot(self, *prefixes: str) -> Snapshot:
        """As the store."""
        return await self._store.snapshot(*prefixes)

    async def get(self, key: str) -> Stored | None:
        """As the store."""
        return await self._store.get(key)

    async def outcome(self, write_id: str) -> Revision | None:
        """As the store."""
        return await self._store.outcome(write_id)

    def watch(self, prefix: str, since: Revision) -> AsyncGenerator[Batch | Alive, None]:
        """As the store."""
        return self._store.watch(prefix, since)

    async def compact(self, keep: int) -> Revision:
        """As the store."""
        return await self._store.compact(keep)

    async def close(self) -> None:
        """As the store."""
        await self._store.close()
