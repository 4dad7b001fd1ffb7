"""The reading side of the SQLite store: one thread, which sees what is committed and nothing else.

Reads never wait for the writer: in WAL mode both go on side by side. A snapshot has a connection
of its own, whose read transaction holds its revision while others write.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from ctherd.store.failure import translated
from ctherd.store.order import Committed
from ctherd.store.port import Compacted, Event, Revision, Snapshot, Stored, Unavailable
from ctherd.store.prefix import beyond, disjoint
from ctherd.store.rows import done_before, stored_at
from ctherd.store.schema import connect

_logger: Final = logging.getLogger("ctherd.store")

_P = ParamSpec("_P")
_T = TypeVar("_T")

_PAGE: Final = 500
"""Rows that are read at a time: some milliseconds of the thread."""

_BEYOND_ALL: Final = b""
"""SQLite sorts every BLOB after every TEXT."""


class Reader:
    """Reads the store at *path*, which exists.

    Raises: Unavailable from every method.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with translated(path):
            self._db = connect(path, "ro")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._snapshots: set[sqlite3.Connection] = set()
        self._closed = False

    async def get(self, key: str) -> Stored | None:
        """Return what stands at *key*."""
        return await self._read(self._db, stored_at, key)

    async def page(
        self, prefix: str, *, after: str = "", limit: int = 1000, newest_first: bool = False
    ) -> Sequence[Stored]:
        """Return up to *limit* keys with *prefix*, beyond *after*."""
        select = _page_backward if newest_first else _page_forward
        return await self._read(self._db, select, prefix, after, limit)

    async def changes(self, since: Revision) -> Sequence[Committed]:
        """Return the next commits after *since*, as the change log has them.

        Raises: Compacted.
        """
        return await self._read(self._db, _changes, since)

    async def done_before(self, write_id: str) -> Revision | None:
        """Return the revision that *write_id* was committed at."""
        return await self._read(self._db, done_before, write_id)

    async def snapshot(self, prefixes: Sequence[str]) -> Snapshot:
        """Return all keys with one of *prefixes*, at one revision."""
        with translated(self._path):
            db = connect(self._path, "ro")
        revision = await self._read(db, _pinned)
        return Snapshot(revision, self._pages(db, disjoint(prefixes)))

    async def close(self) -> None:
        """Let go of the file; from now on calls raise Unavailable."""
        if not self._closed:
            self._closed = True
            # Whatever the thread is doing ends first.
            await asyncio.get_running_loop().run_in_executor(self._thread, self._db.close)
            self._thread.shutdown()

    async def _read(
        self,
        db: sqlite3.Connection,
        select: Callable[Concatenate[sqlite3.Connection, _P], _T],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        if self._closed:
            raise Unavailable("the store is closed", where=str(self._path))
        loop = asyncio.get_running_loop()
        try:
            with translated(self._path):
                call = partial(select, db, *args, **kwargs)
                return await loop.run_in_executor(self._thread, call)
        except Unavailable as error:
            _logger.error("the store cannot be read: %s", error)
            raise

    async def _pages(
        self, db: sqlite3.Connection, prefixes: Sequence[str]
    ) -> AsyncGenerator[Sequence[Stored], None]:
        try:
            for prefix in prefixes:
                page = await self._read(db, _page_forward, prefix, "", _PAGE)
                while page:
                    yield page
                    page = await self._read(db, _page_forward, prefix, page[-1].key, _PAGE)
        finally:
            # In its turn: a read that was cancelled may still be under way in the thread.
            db.close() if self._closed else self._thread.submit(db.close)


def _pinned(db: sqlite3.Connection) -> Revision:
    """Open a read transaction, and return the revision that it stays at."""
    db.execute("BEGIN")
    return Revision(db.execute("SELECT revision FROM state").fetchone()[0])


def _changes(db: sqlite3.Connection, since: Revision) -> Sequence[Committed]:
    db.execute("BEGIN")
    try:
        revision, compacted = db.execute("SELECT revision, compacted FROM state").fetchone()
        if not compacted <= since <= revision:
            raise Compacted(compacted)
        return _log_after(db, since)
    finally:
        db.execute("ROLLBACK")


def _log_after(db: sqlite3.Connection, since: Revision) -> Sequence[Committed]:
    revisions = [
        Revision(revision)
        for (revision,) in db.execute(
            "SELECT revision FROM committed WHERE revision > ? ORDER BY revision LIMIT ?",
            (since, _PAGE),
        )
    ]
    events: dict[Revision, list[Event]] = {revision: [] for revision in revisions}
    for event in db.execute(
        "SELECT key, value, revision FROM change WHERE revision > ? AND revision <= ? ORDER BY id",
        (since, revisions[-1] if revisions else since),
    ):
        events[event[2]].append(Event(*event))
    return [Committed(revision, tuple(events[revision])) for revision in revisions]


def _page_forward(db: sqlite3.Connection, prefix: str, after: str, limit: int) -> Sequence[Stored]:
    start, floor = (">", after) if after >= prefix else (">=", prefix)
    rows = db.execute(
        f"SELECT key, value, revision FROM stored WHERE key {start} ? AND key < ? "
        "ORDER BY key LIMIT ?",
        (floor, _ceiling(prefix), limit),
    )
    return [Stored(*row) for row in rows]


def _page_backward(db: sqlite3.Connection, prefix: str, after: str, limit: int) -> Sequence[Stored]:
    ends = [end for end in (after, beyond(prefix)) if end]
    rows = db.execute(
        "SELECT key, value, revision FROM stored WHERE key >= ? AND key < ? "
        "ORDER BY key DESC LIMIT ?",
        (prefix, min(ends) if ends else _BEYOND_ALL, limit),
    )
    return [Stored(*row) for row in rows]


def _ceiling(prefix: str) -> str | bytes:
    return beyond(prefix) or _BEYOND_ALL
