"""The tables of the SQLite store, how they came to be, and how a connection to them is made.

A schema that was released is never edited: what changes is one more migration at the end.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from ctherd.private_database import make, transaction
from ctherd.store.failure import translated
from ctherd.store.port import Unavailable

# Rows are wide (a signed document), so that tables with rowids and an index beside them are
# smaller and flatter than WITHOUT ROWID.
_FIRST: Final = (
    # One row: which life of the store, its last revision, and where its change log begins.
    """CREATE TABLE state (
        only      INTEGER PRIMARY KEY CHECK (only = 1),
        epoch     INTEGER NOT NULL,
        revision  INTEGER NOT NULL,
        compacted INTEGER NOT NULL
    ) STRICT""",
    "INSERT INTO state VALUES (1, 1, 0, 0)",
    """CREATE TABLE stored (
        key      TEXT PRIMARY KEY,
        value    BLOB NOT NULL,
        revision INTEGER NOT NULL
    ) STRICT""",
    # Every commit since `compacted`, also those without events: `outcome` asks for them.
    """CREATE TABLE committed (
        revision INTEGER PRIMARY KEY,
        write_id TEXT NOT NULL UNIQUE
    ) STRICT""",
    """CREATE TABLE change (
        id       INTEGER PRIMARY KEY,
        revision INTEGER NOT NULL,
        key      TEXT NOT NULL,
        value    BLOB
    ) STRICT""",
    "CREATE INDEX change_revision ON change (revision)",
)
MIGRATIONS: Final[tuple[Sequence[str], ...]] = (_FIRST,)
"""The statements that lead from version n to n + 1, at n."""

_APPLICATION: Final = 0x63746864
""""cthd", so that no other program's database is taken for a store."""

BUSY_S: Final = 2.0
"""How long a write waits for a stranger (the sqlite3 shell, say) that locks the file."""


def connect(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Return a connection to the existing database at *path*; whoever calls translates errors.

    Shape: autocommit; may be handed from thread to thread, but used by one at a time.
    """
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_S,
        # Some statements come in as many lengths as they have rows.
        cached_statements=512,
    )


def prepare(path: Path) -> sqlite3.Connection:
    """Return the writer's connection to the store at *path*, made or migrated if needed.

    Raises: Unavailable; also if a newer ctherd wrote it, or another program.
    """
    with translated(path):
        make(path)
        db = connect(path, "rw")
        try:
            refuse_foreign(db, path)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            migrate(db, MIGRATIONS)
        except BaseException:
            db.close()
            raise
        return db


def migrate(db: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> None:
    """Lead *db* to the version that is the number of *migrations*, in one transaction."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == len(migrations):
        return
    with transaction(db):
        for statement in (each for step in migrations[version:] for each in step):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {len(migrations)}")


def refuse_foreign(db: sqlite3.Connection, path: Path) -> None:
    """Raise Unavailable unless *db* is empty, or a store that this ctherd knows how to read."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != _APPLICATION and (application or version or tables):
        raise Unavailable("this is the database of another program", where=str(path))
    if version > len(MIGRATIONS):
        raise Unavailable(
            f"was written by a newer ctherd (format {version}, this one knows {len(MIGRATIONS)})",
            where=str(path),
            cure="use that ctherd again",
        )
