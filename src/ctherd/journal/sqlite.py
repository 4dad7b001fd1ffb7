"""The journal in SQLite: WAL, one transaction per call, on disk when the call returns.

It is a log. Each edit is appended as one row, whatever the router has already: an assignment added
to a thousand writes one line. So that the log stays short, now and then the edits of one netns are
replaced by one that is their sum.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ctherd.errors import InvalidDeclaration, JournalError
from ctherd.journal import format_1
from ctherd.journal.lines import as_lines, debts_as_lines, debts_from_lines, from_lines
from ctherd.model.assignment import ANY
from ctherd.model.debt import Debt
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Tag
from ctherd.ports import Edit, Record
from ctherd.private_database import opened, transaction

_VERSION: Final = 4
_WITHOUT_ADOPTING: Final = 3
"""Has the same tables, and no word in its lines that an assignment adopts."""

_WITHOUT_DEBTS: Final = 2
_SCHEMA: Final = """
CREATE TABLE edit (
    netns  TEXT NOT NULL,
    number INTEGER NOT NULL,
    router TEXT NOT NULL,
    tag    TEXT NOT NULL,
    forget TEXT NOT NULL,
    put    TEXT NOT NULL,
    paid   TEXT NOT NULL DEFAULT '',
    owe    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (netns, number)
) WITHOUT ROWID, STRICT
"""
_DEBTS: Final = (
    "ALTER TABLE edit ADD COLUMN paid TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE edit ADD COLUMN owe TEXT NOT NULL DEFAULT ''",
)
_SUMMED_UP_AFTER: Final = 32
"""So many edits of one netns, and a start has to read no more than a few of each."""


class SqliteJournal:
    """The journal at *path*, made on first use with mode 0600.

    Raises: JournalError from every method. A corrupt journal is not repaired: what is in the
    kernel stays as it is until somebody decides.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._translated():
            self._db = opened(path)
            self._db.execute("PRAGMA synchronous = FULL")
            # The number of each netns' last edit. They only rise: one that was not written leaves
            # a gap, and no harm.
            self._numbers: dict[str, int] = {}
            self._migrate()
            self._numbers.update(
                self._db.execute("SELECT netns, max(number) FROM edit GROUP BY netns")
            )

    def load(self) -> dict[NetnsName, Record]:
        """Return every record."""
        with self._translated():
            return self._sum("SELECT * FROM edit ORDER BY netns, number")

    def record(self, edits: Sequence[Edit]) -> None:
        """Write all *edits* in one transaction that is on disk when this returns."""
        with self._transaction():
            self._append(edits)
            for netns in {each.netns for each in edits}:
                if self._numbers[netns] % _SUMMED_UP_AFTER == 0:
                    self._sum_up(netns)

    def drop(self, names: Sequence[NetnsName]) -> None:
        """Forget these netns altogether."""
        with self._transaction():
            self._db.executemany("DELETE FROM edit WHERE netns = ?", ((name,) for name in names))
        for name in names:
            self._numbers.pop(name, None)

    def rename(self, old: NetnsName, new: NetnsName) -> None:
        """The netns that was reached by *old* is reached by *new* now."""
        if new in self._numbers:
            raise JournalError(f"{new} has a record of its own already", where=str(self.path))
        with self._transaction():
            self._db.execute("UPDATE edit SET netns = ? WHERE netns = ?", (new, old))
        if old in self._numbers:
            self._numbers[new] = self._numbers.pop(old)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _append(self, edits: Iterable[Edit]) -> None:
        rows = []
        for netns, router, tag, put, forget, on_revoke, owe, paid, adopting in edits:
            self._numbers[netns] = number = self._numbers.get(netns, 0) + 1
            forgotten = as_lines(dict.fromkeys(forget, ANY)) if forget else ""
            debts = (debts_as_lines(paid), debts_as_lines(owe)) if paid or owe else ("", "")
            made = as_lines(put, on_revoke, adopting)
            rows.append((netns, number, router, tag, forgotten, made, *debts))
        self._db.executemany("INSERT INTO edit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _sum(self, query: str, parameters: Sequence[str] = ()) -> dict[NetnsName, Record]:
        """Return what the edits that *query* selects, in their order, come to."""
        records: dict[NetnsName, Record] = {}
        for netns, _, router, tag, forget, put, paid, owe in self._db.execute(query, parameters):
            before = records.get(netns)
            managed = dict(before.managed) if before else {}
            unusual = dict(before.on_revoke) if before else {}
            adopting = before.adopting if before else frozenset()
            made = from_lines(put)
            gone = from_lines(forget).assignments
            for key in gone:
                managed.pop(key, None)
            for key in (*gone, *made.assignments) if unusual else ():
                unusual.pop(key, None)
            if adopting:
                adopting -= gone.keys() | made.assignments.keys()
            managed.update(made.assignments)
            unusual.update(made.on_revoke)
            owed = _owed(before.owed if before else (), debts_from_lines(paid), owe)
            records[netns] = Record(
                NetnsName(netns),
                RouterId(router),
                Tag(tag),
                managed,
                unusual,
                owed,
                adopting | made.adopting,
            )
        return records

    def _sum_up(self, netns: NetnsName) -> None:
        """Put one edit in place of all that there are of *netns*."""
        summed = self._sum("SELECT * FROM edit WHERE netns = ? ORDER BY number", (netns,))
        self._db.execute("DELETE FROM edit WHERE netns = ?", (netns,))
        self._append(
            Edit(
                netns,
                each.router,
                each.tag,
                each.managed,
                on_revoke=each.on_revoke,
                owe=each.owed,
                adopting=each.adopting,
            )
            for each in summed.values()
        )

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == _VERSION:
            return
        if version > _VERSION:
            raise JournalError(
                f"was written by a newer ctherd (format {version}, this one knows {_VERSION})",
                where=str(self.path),
                cure="use that ctherd again",
            )
        with self._transaction():
            if version == _WITHOUT_DEBTS:
                for statement in _DEBTS:
                    self._db.execute(statement)
            elif version != _WITHOUT_ADOPTING:
                self._db.execute(_SCHEMA)
            if version == format_1.VERSION:
                self._append(format_1.edits(self._db))
                format_1.drop(self._db)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated(), transaction(self._db):
            yield

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


def _owed(before: tuple[Debt, ...], paid: tuple[Debt, ...], owe: str) -> tuple[Debt, ...]:
    """Return what is owed after an edit: each debt once, however often it was written."""
    done = frozenset(paid)
    left = [each for each in before if each not in done]
    return tuple(dict.fromkeys((*left, *debts_from_lines(owe))))
