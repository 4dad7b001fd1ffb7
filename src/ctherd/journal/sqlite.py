"""The journal in SQLite: WAL, one transaction per call, on disk when the call returns."""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

from ctherd.errors import InvalidDeclaration, JournalError
from ctherd.model.assignment import AssignmentKey, Destinations, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Tag
from ctherd.ports import Edit, Record

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE place (
    netns  TEXT PRIMARY KEY,
    router TEXT NOT NULL,
    tag    TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE managed (
    netns        TEXT NOT NULL REFERENCES place ON DELETE CASCADE ON UPDATE CASCADE,
    protocol     TEXT NOT NULL,
    port         INTEGER NOT NULL,
    helper       TEXT NOT NULL,
    destinations TEXT NOT NULL,
    PRIMARY KEY (netns, protocol, port, helper)
) WITHOUT ROWID, STRICT;
"""


class SqliteJournal:
    """The journal at *path*, made on first use with mode 0600.

    Raises: JournalError from every method. A corrupt journal is not repaired: what is in the
    kernel stays as it is until somebody decides.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._translated():
            # SQLite gives its side files the mode of the database.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._migrate()

    def load(self) -> dict[NetnsName, Record]:
        """Return every record."""
        with self._translated():
            managed: dict[str, dict[AssignmentKey, Destinations]] = {}
            rows = self._db.execute(
                "SELECT netns, protocol, port, helper, destinations FROM managed"
            )
            for netns, protocol, port, helper, destinations in rows:
                key = AssignmentKey(Protocol(protocol), port, helper)
                managed.setdefault(netns, {})[key] = _destinations(destinations)
            return {
                NetnsName(netns): Record(
                    NetnsName(netns), RouterId(router), Tag(tag), managed.get(netns, {})
                )
                for netns, router, tag in self._db.execute("SELECT netns, router, tag FROM place")
            }

    def record(self, edits: Sequence[Edit]) -> None:
        """Write all *edits* in one transaction that is on disk when this returns."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO place VALUES (?, ?, ?) ON CONFLICT (netns) DO UPDATE "
                "SET router = excluded.router, tag = excluded.tag",
                ((edit.netns, edit.router, edit.tag) for edit in edits),
            )
            self._db.executemany(
                "DELETE FROM managed WHERE netns = ? AND protocol = ? AND port = ? AND helper = ?",
                ((edit.netns, *key) for edit in edits for key in edit.forget),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO managed VALUES (?, ?, ?, ?, ?)",
                (row for edit in edits for row in _rows(edit.netns, edit.put)),
            )

    def drop(self, names: Sequence[NetnsName]) -> None:
        """Forget these netns altogether."""
        with self._transaction():
            self._db.executemany("DELETE FROM place WHERE netns = ?", ((name,) for name in names))

    def rename(self, old: NetnsName, new: NetnsName) -> None:
        """The netns that was reached by *old* is reached by *new* now."""
        with self._transaction():
            self._db.execute("UPDATE place SET netns = ? WHERE netns = ?", (new, old))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == _VERSION:
            return
        if version:
            raise JournalError(
                f"was written by a newer ctherd (format {version}, this one knows {_VERSION})",
                where=str(self.path),
                cure="use that ctherd again",
            )
        self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {_VERSION};COMMIT;")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, InvalidDeclaration) as error:
            raise JournalError(
                f"the journal cannot be used: {error}",
                where=str(self.path),
                cure="make room or restore it; if lost, move it away and see `ctherd reclaim`",
            ) from error


def _rows(
    netns: NetnsName, put: Mapping[AssignmentKey, Destinations]
) -> Iterator[tuple[str, str, int, str, str]]:
    for (protocol, port, helper), destinations in put.items():
        yield netns, protocol, port, helper, " ".join(map(str, destinations))


@lru_cache(maxsize=1024)
def _destinations(text: str) -> Destinations:
    return tuple(parse_prefix(each) for each in text.split())
