"""One commit inside an open SQLite transaction: check what is expected, then write and log it."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from ctherd.errors import LocalProtocolError
from ctherd.store.port import ABSENT, Conflict, Event, Expect, Put, Revision, Stored, Write


@dataclass(frozen=True, slots=True)
class Order:
    """What one call of ``Store.commit`` asks for.

    Raises: LocalProtocolError if no store could do it.
    """

    expects: Sequence[Expect]
    writes: Sequence[Write]
    write_id: str

    def __post_init__(self) -> None:
        keys = [write.key for write in self.writes]
        if len(set(keys)) < len(keys):
            raise LocalProtocolError("a commit writes a key twice", where=", ".join(keys))
        for key in (*keys, *(expect.key for expect in self.expects)):
            if not key or not (key.isascii() or _is_utf8(key)):
                raise LocalProtocolError("this cannot be a key", where=repr(key))


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit as the change log has it."""

    revision: Revision
    events: tuple[Event, ...]


def carry_out(
    db: sqlite3.Connection, order: Order, revision: Revision
) -> Committed | Conflict | Revision:
    """Do *order* at *revision*, or nothing.

    Shape: a Revision if its write id was committed before, at that revision.
    """
    conflict = _conflict(db, order.expects)
    if conflict:
        return done_before(db, order.write_id) or conflict
    fresh = db.execute(
        "INSERT INTO committed VALUES (?, ?) ON CONFLICT (write_id) DO NOTHING",
        (revision, order.write_id),
    )
    if not fresh.rowcount:
        return done_before(db, order.write_id) or revision
    events = tuple(
        Event(write.key, write.value if isinstance(write, Put) else None, revision)
        for write in order.writes
        if written(db, write, revision)
    )
    db.executemany(
        "INSERT INTO change (key, value, revision) VALUES (?, ?, ?)",
        events,
    )
    return Committed(revision, events)


def done_before(db: sqlite3.Connection, write_id: str) -> Revision | None:
    """Return the revision that *write_id* was committed at, None if it was not."""
    row = db.execute("SELECT revision FROM committed WHERE write_id = ?", (write_id,)).fetchone()
    return Revision(row[0]) if row else None


def stored_at(db: sqlite3.Connection, key: str) -> Stored | None:
    """Return what stands at *key*."""
    row = db.execute("SELECT key, value, revision FROM stored WHERE key = ?", (key,)).fetchone()
    return Stored(*row) if row else None


def written(db: sqlite3.Connection, write: Write, revision: Revision) -> bool:
    """Write, and tell whether that made a difference."""
    if isinstance(write, Put):
        db.execute(
            "INSERT INTO stored VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET value = excluded.value, revision = excluded.revision",
            (write.key, write.value, revision),
        )
        return True
    return db.execute("DELETE FROM stored WHERE key = ?", (write.key,)).rowcount > 0


def _is_utf8(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _conflict(db: sqlite3.Connection, expects: Sequence[Expect]) -> Conflict | None:
    for key, revision in expects:
        current = stored_at(db, key)
        if (current.revision if current else ABSENT) != revision:
            return Conflict(key, current)
    return None
