"""What SQLite and the disk refuse, told once in ctherd's words: who must act, and how."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ctherd.store.port import Unavailable

_CURES: Final = {
    sqlite3.SQLITE_FULL: "make room; it goes on by itself then",
    sqlite3.SQLITE_BUSY: "end the program that locks it; it goes on by itself then",
    sqlite3.SQLITE_CORRUPT: "restore a backup: `ctherd restore`",
    sqlite3.SQLITE_NOTADB: "restore a backup: `ctherd restore`",
    sqlite3.SQLITE_IOERR: "look at the disk and its log",
    sqlite3.SQLITE_CANTOPEN: "look at the directory, its owner and its mode",
    sqlite3.SQLITE_READONLY: "look at the directory, its owner and its mode",
}


def primary_code(error: BaseException) -> int:
    """Return SQLite's primary result code of *error*, 0 if it is none of SQLite's."""
    code = getattr(error, "sqlite_errorcode", 0)
    return int(code) & 0xFF


def unavailable(path: Path, error: BaseException) -> Unavailable:
    """Return the error that tells of *error*, met with the store at *path*."""
    name = getattr(error, "sqlite_errorname", "")
    words = f"the store cannot be used: {error}" + (f" [{name}]" if name else "")
    return Unavailable(words, where=str(path), cure=_CURES.get(primary_code(error), ""))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Let what SQLite and the system raise inside come out as Unavailable."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise unavailable(path, error) from error
