"""A SQLite file that only its owner may read, and transactions that are begun by hand."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctherd.private_file import give_to_owner


def make(path: Path) -> None:
    """Make the file at *path* with mode 0600, for the owner of its directory, unless it exists.

    SQLite gives its side files the mode of the database.
    Raises: OSError, also if *path* is a link.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        give_to_owner(fd, path.parent)
    finally:
        os.close(fd)


def opened(path: Path) -> sqlite3.Connection:
    """Return a connection to the database at *path*, made unless it exists.

    Shape: WAL, autocommit; whoever opens it translates errors.
    Raises: OSError, also if *path* is a link; sqlite3.Error.
    """
    make(path)
    db = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        db.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Do what is inside at once, or not at all."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
