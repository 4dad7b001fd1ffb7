"""The store in one SQLite file, for one server process.

Durable when acknowledged: write-ahead log, ``synchronous = FULL``. One thread writes, one reads,
and watches are served from memory; each of them is a module of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from ctherd.lockfile import LockFile
from ctherd.store.failure import translated
from ctherd.store.ledger import Figures, Ledger
from ctherd.store.order import Order
from ctherd.store.port import (
    Alive,
    Batch,
    Conflict,
    Expect,
    Revision,
    Snapshot,
    Stored,
    Write,
)
from ctherd.store.reader import Reader
from ctherd.store.schema import prepare
from ctherd.store.tail import ALIVE_S, Tail
from ctherd.store.writer import Writer

STORE_FILE: Final = "store.sqlite"
"""The name of the file in a state directory."""


class SqliteStore:
    """A ``Store`` in one file; ``open`` makes it."""

    def __init__(self, lock: LockFile, ledger: Ledger, reader: Reader, *, alive_s: float) -> None:
        self._lock = lock
        self._ledger = ledger
        self._reader = reader
        self._tail = Tail(ledger.revision, reader.changes, alive_s=alive_s)
        self._writer = Writer(ledger, self._tail.append)

    @classmethod
    async def open(cls, path: Path, *, alive_s: float = ALIVE_S) -> Self:
        """Return the store in the file at *path*, which is made with mode 0600 if need be.

        Shape: a watch without news says so every *alive_s*. Everything belongs to the running
        event loop.
        Raises: Busy if another process has it open; Unavailable.
        """
        with ExitStack() as undo:
            lock = hold(path)
            undo.callback(lock.release)
            db = prepare(path)
            undo.callback(db.close)
            store = cls(lock, Ledger(path, db), Reader(path), alive_s=alive_s)
            undo.pop_all()
            return store

    @property
    def figures(self) -> Figures:
        """How much was committed since the store was opened."""
        return self._ledger.figures

    async def epoch(self) -> int:
        """Return which life of the store this is."""
        return self._ledger.epoch

    async def snapshot(self, *prefixes: str) -> Snapshot:
        """Return every key with one of *prefixes*, at one revision."""
        return await self._reader.snapshot(prefixes)

    async def get(self, key: str) -> Stored | None:
        """Return *key* as the last acknowledged commit left it."""
        return await self._reader.get(key)

    async def page(
        self, prefix: str, *, after: str = "", limit: int = 1000, newest_first: bool = False
    ) -> Sequence[Stored]:
        """Return up to *limit* keys with *prefix* beyond *after*."""
        return await self._reader.page(prefix, after=after, limit=limit, newest_first=newest_first)

    async def commit(
        self, expects: Sequence[Expect], writes: Sequence[Write], *, write_id: str
    ) -> Revision | Conflict:
        """Carry out all *writes* at once, on disk when this returns."""
        return await self._writer.commit(Order(expects, writes, write_id))

    async def outcome(self, write_id: str) -> Revision | None:
        """Return the revision that *write_id* was committed at, None if it never happened."""
        revision = await self._reader.done_before(write_id)
        if revision is None and self._ledger.in_doubt:
            await self._writer.run(self._ledger.settle)
        return revision

    def watch(self, prefix: str, since: Revision) -> AsyncGenerator[Batch | Alive, None]:
        """Yield what happened to keys with *prefix* after *since*, and Alive now and then."""
        return self._tail.watch(prefix, since)

    async def compact(self, keep: int) -> Revision:
        """Forget all but the last *keep* commits."""
        mark = await self._writer.run(lambda: self._ledger.compact(keep))
        self._tail.forget(mark)
        while await self._writer.run(self._ledger.forget):
            pass
        return mark

    async def close(self) -> None:
        """Finish what waits, end every watch, and let go of the file."""
        await self._writer.close()
        self._tail.end("the store was closed")
        await self._reader.close()
        # The last to go: who may write takes the write-ahead log into the file.
        await asyncio.to_thread(self._ledger.close)
        self._lock.release()


def hold(path: Path) -> LockFile:
    """Take the lock of the store at *path*, and make its directory if need be.

    Raises: Busy, Unavailable.
    """
    lock = LockFile(path.with_name(path.name + ".lock"))
    with translated(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.hold("store", cure="wait until it is done, or give this one another --state-dir")
    return lock
