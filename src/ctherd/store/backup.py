"""Backups of the SQLite store while it is in use, and new lives from them.

A backup is a store in one file. A store that is restored begins a new life: its epoch is higher
than any before, so that whatever was stated in a life that was lost cannot pass for newer; and its
revisions go on beyond all that the lost life can have had, so that nobody resumes in a gap.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from ctherd.errors import ConfigurationError, LocalProtocolError
from ctherd.private_database import make, transaction
from ctherd.store.failure import translated
from ctherd.store.port import Put, Revision, Stored, Unavailable, Write
from ctherd.store.rows import stored_at, write_made
from ctherd.store.schema import MIGRATIONS, connect, migrate, refuse_foreign
from ctherd.store.sqlite import hold

_logger: Final = logging.getLogger("ctherd.store")

Rewrite = Callable[[Stored, int], Write | None]
"""What is to stand at a key in the life with that epoch; None: what stands there now."""

_EPOCH_BITS: Final = 40
"""Each epoch has its own range of revisions, of 10¹² commits; those of the first begin at 1."""


class Place(NamedTuple):
    """Where in its history a store is."""

    epoch: int
    revision: Revision


def backup(store: Path, target: Path) -> Place:
    """Copy the store to the file *target*, as it is at one revision, and say which.

    Shape: *store* may be in use, by another process too. *target* is wholly the new backup (mode
    0600), or what it was.
    Raises: Unavailable; ConfigurationError if *target* is a store.
    """
    if any(side.exists() for side in _side_files(target)) or _same(store, target):
        raise ConfigurationError("this is a store, not a backup", where=str(target))
    with _in_place(target) as new:
        return _copied(store, new)


def restore(
    source: Path, target: Path, rewrite: Rewrite, *, replace: bool = False, past_epoch: int = 0
) -> Place:
    """Make the store *target* from the backup *source*, in a new life; say where that begins.

    Shape: *rewrite* is asked about every key, in order. *past_epoch* is the highest epoch that is
    known of from elsewhere (agents have seen it, say); that of a store which is replaced is read
    from it.
    Raises: Busy if *target* is in use; ConfigurationError if there is a store at *target*, and
    not *replace*; Unavailable; whatever *rewrite* raises. Then nothing happened.
    """
    lock = hold(target)
    try:
        if target.exists() and not replace:
            raise ConfigurationError(
                "there is a store already", where=str(target), cure="ask for it to be replaced"
            )
        with _in_place(target) as new:
            _copied(source, new)
            past = _past(target)
            return _begun(new, rewrite, past._replace(epoch=max(past.epoch, past_epoch)))
    finally:
        lock.release()


def _copied(source: Path, new: Path) -> Place:
    """Copy *source* to the empty file *new*, check the copy, and say where it is."""
    with translated(f"{source} to {new.parent}"), closing(connect(source, "ro")) as old:
        refuse_foreign(old, source)
        with closing(connect(new, "rw")) as db:
            old.backup(db)
            # One file, readable from anywhere: a write-ahead log would want a place beside it.
            db.execute("PRAGMA journal_mode = DELETE")
            (verdict,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                raise Unavailable(f"it is damaged: {verdict}", where=str(source))
            return _place(db)


def _begun(new: Path, rewrite: Rewrite, past: Place) -> Place:
    """Begin the next life of the store *new*, beyond *past*."""
    with translated(new), closing(connect(new, "rw")) as db:
        migrate(db, MIGRATIONS)
        before = _place(db)
        epoch = max(before.epoch, past.epoch) + 1
        revision = max(before.revision, past.revision, epoch << _EPOCH_BITS) + 1
        with transaction(db):
            for (key,) in db.execute("SELECT key FROM stored ORDER BY key").fetchall():
                stored = stored_at(db, key)
                write = rewrite(stored, epoch) if stored else None
                write_made(db, _made(key, write, Revision(revision)))
            # Compacted up to here: nobody may resume from a life that is over.
            db.execute(
                "UPDATE state SET epoch = ?, revision = ?, compacted = ?",
                (epoch, revision, revision),
            )
        return _place(db)


def _made(key: str, write: Write | None, revision: Revision) -> dict[str, Stored | None]:
    """Return what *write*, of *key* and no other, makes."""
    if write and write.key != key:
        raise LocalProtocolError(f"a rewrite of {key} writes {write.key}")
    if isinstance(write, Put):
        return {key: Stored(key, write.value, revision)}
    return {key: None} if write else {}


def _past(target: Path) -> Place:
    """Return where the store is that is to be replaced, and leave it in one file."""
    if not target.exists():
        return Place(0, Revision(0))
    try:
        with closing(connect(target, "rw")) as db:
            refuse_foreign(db, target)
            return _place(db)
    except (sqlite3.Error, Unavailable) as error:
        _logger.warning("the epoch of the store that is replaced cannot be read: %s", error)
        return Place(0, Revision(0))


def _place(db: sqlite3.Connection) -> Place:
    place = db.execute("SELECT epoch, revision FROM state").fetchone()
    if place is None:
        raise sqlite3.DatabaseError("it does not say where it is")
    return Place(*place)


@contextmanager
def _in_place(target: Path) -> Iterator[Path]:
    """Yield a new private file, which takes the place of *target* at the end, durably."""
    new = target.with_name(f".{target.name}.new")
    with translated(target):
        _remove(new)
        make(new)
    try:
        yield new
        with translated(target):
            _sync(new)
            # The log of the old file must never be read with the new one.
            _remove(*_side_files(target))
            new.replace(target)
            _sync(target.parent)
    finally:
        _remove(new, *_side_files(new))


def _side_files(path: Path) -> Sequence[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
