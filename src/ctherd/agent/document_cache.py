"""What an agent last believed of its server, on disk: it enforces that when it is alone.

The envelopes are kept as they came, and their signatures verified anew at every start; so the cache
is trusted with nothing but what must not be older. A document is written without waiting for the
disk: after a power failure the server says it again. A tombstone is on disk before anybody hears
that it was obeyed, or a router that went would come back.
"""

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from ctherd.errors import JournalError
from ctherd.private_database import opened, transaction
from ctherd.signing.envelope import Envelope, KeyId
from ctherd.signing.statements import DocumentId, Version

_log: Final = logging.getLogger("ctherd.agent")

CACHE_FILE: Final = "documents.sqlite"

_FORMAT: Final = 1
_SCHEMA: Final = """
CREATE TABLE statement (
    document  TEXT PRIMARY KEY,
    epoch     INTEGER NOT NULL,
    serial    INTEGER NOT NULL,
    payload   TEXT NOT NULL,
    key       TEXT NOT NULL,
    signature TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
"""


class Position(NamedTuple):
    """How far the server was heard: everything of *epoch* up to *revision* of its store."""

    epoch: int
    revision: int


class Kept(NamedTuple):
    """One document's last statement; *envelope* None: it was given up, *version* would be new."""

    document: DocumentId
    version: Version
    envelope: Envelope | None


class DocumentCache:
    """The cache at *path*, made on first use with mode 0600.

    Raises: JournalError from every method. A cache that cannot be read is put aside, and an empty
    one begun: the server has everything, and until then the journal says what to keep.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._open()
        except JournalError as error:
            broken = path.with_suffix(".broken")
            _log.error("%s; it is put aside as %s", error, broken.name)
            with self._translated():
                path.replace(broken)
            self._open()

    def statements(self) -> list[Kept]:
        """Return all that was kept."""
        with self._translated():
            rows = self._db.execute("SELECT * FROM statement").fetchall()
        return [
            Kept(
                DocumentId(document),
                Version(epoch, serial),
                Envelope(payload, KeyId(key), signature) if payload else None,
            )
            for document, epoch, serial, payload, key, signature in rows
        ]

    def keep(
        self, statements: Iterable[Kept], position: Position | None, *, durably: bool = False
    ) -> None:
        """Write *statements*, and how far the server was heard (None: as before)."""
        rows = [
            (each.document, *each.version, *(each.envelope or ("", "", ""))) for each in statements
        ]
        with self._transaction(durably=durably):
            self._db.executemany("REPLACE INTO statement VALUES (?, ?, ?, ?, ?, ?)", rows)
            if position is not None:
                self._put_fact("position", list(position))

    def position(self) -> Position | None:
        """Return how far the server was heard; None: it was never heard out."""
        found = self.fact("position")
        return Position(*found) if found is not None else None

    def fact(self, name: str) -> Any:
        """Return what was kept by *name*, None if nothing."""
        with self._translated():
            row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
            return json.loads(row[0]) if row else None

    def put_fact(self, name: str, value: Any) -> None:
        """Keep *value*, which JSON can spell, by *name*."""
        with self._transaction(durably=True):
            self._put_fact(name, value)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _open(self) -> None:
        with self._translated():
            self._db = opened(self.path)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in (0, _FORMAT):
            raise sqlite3.DatabaseError(f"format {version} is not known here")
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")
        self._db.execute("SELECT * FROM statement, fact LIMIT 1")

    def _put_fact(self, name: str, value: Any) -> None:
        self._db.execute("REPLACE INTO fact VALUES (?, ?)", (name, json.dumps(value)))

    @contextmanager
    def _transaction(self, *, durably: bool) -> Iterator[None]:
        with self._translated():
            # In WAL mode NORMAL survives the death of the process, FULL that of the machine.
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durably else 'NORMAL'}")
            with transaction(self._db):
                yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            raise JournalError(
                f"the documents of the server cannot be kept: {error}",
                where=str(self.path),
                cure="make room on that disk, and let nobody else write there",
            ) from error
