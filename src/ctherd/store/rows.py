"""The statements that read and write the rows of the store, many rows at a time."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final, TypeVar

from ctherd.store.group import Group
from ctherd.store.order import Committed, Order
from ctherd.store.port import Delete, Revision, Stored

_T = TypeVar("_T")

_AT_ONCE: Final = 64
"""Rows in one statement; a statement of each length is compiled once."""


def stored_at(db: sqlite3.Connection, key: str) -> Stored | None:
    """Return what stands at *key*."""
    row = db.execute("SELECT key, value, revision FROM stored WHERE key = ?", (key,)).fetchone()
    return Stored(*row) if row else None


def done_before(db: sqlite3.Connection, write_id: str) -> Revision | None:
    """Return the revision that *write_id* was committed at, None if it was not."""
    return _done(db, [write_id]).get(write_id)


def group_of(db: sqlite3.Connection, revision: Revision, orders: Sequence[Order]) -> Group:
    """Return a group that can decide *orders*, which follow *revision*."""
    keys = {expect.key for order in orders for expect in order.expects}
    keys |= {write.key for order in orders for write in order.writes if isinstance(write, Delete)}
    done = _done(db, [order.write_id for order in orders])
    return Group(revision, _revisions(db, keys), done, lambda key: stored_at(db, key))


def write_made(db: sqlite3.Connection, made: dict[str, Stored | None]) -> None:
    """Let stand at each key what was made; None: nothing."""
    for rows in _in_parts(stored for stored in made.values() if stored):
        db.execute(
            f"INSERT INTO stored (key, value, revision) VALUES {_places(rows, '(?, ?, ?)')} "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision",
            tuple(chain.from_iterable(rows)),
        )
    for keys in _in_parts(key for key, stored in made.items() if stored is None):
        db.execute(f"DELETE FROM stored WHERE key IN ({_places(keys)})", keys)


def log(db: sqlite3.Connection, commits: Sequence[Committed]) -> None:
    """Add *commits* to the change log."""
    for rows in _in_parts((commit.revision, commit.write_id) for commit in commits):
        db.execute(
            f"INSERT INTO committed VALUES {_places(rows, '(?, ?)')}",
            tuple(chain.from_iterable(rows)),
        )
    for events in _in_parts(chain.from_iterable(commit.events for commit in commits)):
        db.execute(
            f"INSERT INTO change (key, value, revision) VALUES {_places(events, '(?, ?, ?)')}",
            tuple(chain.from_iterable(events)),
        )


def _revisions(db: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Revision]:
    """Return the revision of those of *keys* that exist."""
    found: dict[str, Revision] = {}
    for part in _in_parts(keys):
        found |= db.execute(
            f"SELECT key, revision FROM stored WHERE key IN ({_places(part)})", part
        )
    return found


def _done(db: sqlite3.Connection, write_ids: Iterable[str]) -> dict[str, Revision]:
    """Return the revisions of those of *write_ids* that were committed."""
    found: dict[str, Revision] = {}
    for part in _in_parts(write_ids):
        found |= db.execute(
            f"SELECT write_id, revision FROM committed WHERE write_id IN ({_places(part)})", part
        )
    return found


def _places(rows: Sequence[object], row: str = "?") -> str:
    return ", ".join([row] * len(rows))


def _in_parts(rows: Iterable[_T]) -> Iterator[Sequence[_T]]:
    left = iter(rows)
    while part := tuple(islice(left, _AT_ONCE)):
        yield part
