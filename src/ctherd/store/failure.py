"""What SQLite and the disk refuse, told once in ctherd's words: who must act, and how."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ctherd.store.port import Unavailable

_logger: Final = logging.getLogger("ctherd.store")

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


def unavailable(where: Path | str, error: BaseException) -> Unavailable:
    """Return the error that tells of *error*, met with the store at *where*."""
    name = getattr(error, "sqlite_errorname", "")
    words = f"the store cannot be used: {error}" + (f" [{name}]" if name else "")
    return Unavailable(words, where=str(where), cure=_CURES.get(primary_code(error), ""))


@contextmanager
def translated(where: Path | str) -> Iterator[None]:
    """Let what SQLite and the system raise inside come out as Unavailable."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise unavailable(where, error) from error


class Trouble:
    """Tells the log that the store at *path* cannot be written, and when it can again.

    Shape: once, and not again for every request that meets the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = ""

    def met(self, error: Exception) -> None:
        """It could not, because of *error*."""
        if str(error) != self._told:
            self._told = str(error)
            _logger.error("the store at %s cannot be written: %s", self._path, error)

    def over(self) -> None:
        """It could."""
        if self._told:
            self._told = ""
            _logger.warning("the store at %s can be written again", self._path)
