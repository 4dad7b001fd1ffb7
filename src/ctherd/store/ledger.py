"""The writing side of the SQLite store: groups of commits in one transaction each, and compaction.

When COMMIT itself fails, the disk may or may not have the transaction: SQLite takes it back here,
but after a crash it could be found whole in the write-ahead log. The next transaction that
succeeds overwrites it there. So one is tried at once, and until one succeeds the outcome is
unknown.

It is synchronous, and belongs to one thread.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from ctherd.errors import CtherdError
from ctherd.store.failure import Trouble, primary_code, translated, unavailable
from ctherd.store.order import Committed, Order
from ctherd.store.port import Conflict, OutcomeUnknown, Revision, Unavailable
from ctherd.store.rows import group_of, log, write_made

_SLICE: Final = 1000
"""How many commits are forgotten at a time, so that others get their turn."""

Answer = Revision | Conflict | CtherdError


class Outcome(NamedTuple):
    """What became of some orders: an *answer* for each, and the *commits* among them."""

    answers: Sequence[Answer]
    commits: Sequence[Committed] = ()


@dataclass(slots=True)
class Figures:
    """How many commits were carried out, in how many transactions (each with its fsync)."""

    commits: int = 0
    transactions: int = 0


class Ledger:
    """Writes the store at *path* through *db*, which it owns.

    Shape: *revision* is that of the last commit; while *in_doubt*, an order that was answered
    with OutcomeUnknown may still turn out to have happened.
    """

    epoch: int
    revision: Revision
    compacted: Revision

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.figures = Figures()
        self.in_doubt = False
        self._path = path
        self._db = db
        self._trouble = Trouble(path)
        with translated(path):
            place = db.execute("SELECT epoch, revision, compacted FROM state").fetchone()
        if place is None:
            raise Unavailable("the store is damaged: it does not say where it is", where=str(path))
        self.epoch, self.revision, self.compacted = place

    def commit(self, orders: Sequence[Order]) -> Outcome:
        """Carry out *orders* in their order, in one transaction; each that fails harms no other.

        Shape: if the disk refuses, all of them are answered with Unavailable or OutcomeUnknown.
        """
        try:
            outcome = self._carried_out(orders)
        except _InDoubt as doubt:
            self._trouble.met(doubt)
            if self._settled():
                return Outcome([unavailable(self._path, doubt.error) for _ in orders])
            return Outcome([_unknown(self._path, doubt.error) for _ in orders])
        except sqlite3.Error as error:
            self._trouble.met(error)
            return Outcome([unavailable(self._path, error) for _ in orders])
        self._trouble.over()
        return outcome

    def settle(self) -> None:
        """End the doubt, by one more transaction.

        Raises: Unavailable if that cannot be done now.
        """
        if self.in_doubt and not self._settled():
            raise Unavailable(
                "the disk does not say what became of the last commits", where=str(self._path)
            )

    def compact(self, keep: int) -> Revision:
        """Let the change log begin later, so that it has *keep* commits; return where."""
        with translated(self._path):
            oldest = self._db.execute(
                "SELECT revision FROM committed ORDER BY revision DESC LIMIT 1 OFFSET ?", (keep,)
            ).fetchone()
            if oldest and oldest[0] > self.compacted:
                with self._transaction():
                    self._db.execute("UPDATE state SET compacted = ?", oldest)
                self.compacted = Revision(oldest[0])
        return self.compacted

    def forget(self) -> bool:
        """Remove some of what was compacted away; tell whether there may be more."""
        with translated(self._path), self._transaction():
            last = self._db.execute(
                "SELECT max(revision) FROM (SELECT revision FROM committed WHERE revision <= ? "
                "ORDER BY revision LIMIT ?)",
                (self.compacted, _SLICE),
            ).fetchone()
            self._db.execute("DELETE FROM change WHERE revision <= ?", last)
            gone = self._db.execute("DELETE FROM committed WHERE revision <= ?", last)
            return gone.rowcount == _SLICE

    def abandon(self) -> None:
        """End whatever transaction is open, without effect."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _carried_out(self, orders: Sequence[Order]) -> Outcome:
        with self._transaction():
            group = group_of(self._db, self.revision, orders)
            answers = [group.decide(order) for order in orders]
            if group.commits:
                log(self._db, group.commits)
                write_made(self._db, group.made)
                self._db.execute("UPDATE state SET revision = ?", (group.revision,))
        if group.commits:
            self._advanced(group.revision)
            self.figures.commits += len(group.commits)
        return Outcome(answers, group.commits)

    def _settled(self) -> bool:
        try:
            with self._transaction():
                revision = Revision(self.revision + 1)
                self._db.execute("UPDATE state SET revision = ?", (revision,))
        except sqlite3.Error:
            return False
        self._advanced(revision)
        return True

    def _advanced(self, revision: Revision) -> None:
        """A transaction that wrote is on disk."""
        self.revision = revision
        self.in_doubt = False
        self.figures.transactions += 1

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._finish()
        except BaseException:
            self.abandon()
            raise

    def _finish(self) -> None:
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            # A full disk leaves the last page of the transaction unwritten, for certain.
            if primary_code(error) == sqlite3.SQLITE_FULL:
                raise
            self.in_doubt = True
            raise _InDoubt(error) from error


class _InDoubt(sqlite3.OperationalError):
    """COMMIT failed with *error*."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(str(error))
        self.error = error


def _unknown(path: Path, error: sqlite3.Error) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the disk failed while committing: {error}", where=str(path), cure="look at the disk"
    )
