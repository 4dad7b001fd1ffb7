"""Journals of other formats: older ones are carried over whole, newer ones refused."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ctherd.errors import JournalError
from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.assignment import ANY
from ctherd.ports import Edit, Record
from tests.journal.journals import EDGE, FTP, OWED, SCOPE, TAG, TFTP, A, B, reopened

# -- the first -------------------------------------------------------------------------------------

FIRST_FORMAT = """
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
PRAGMA user_version = 1;
INSERT INTO place VALUES ('a', 'edge', '6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60');
INSERT INTO place VALUES ('b', 'edge', '6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60');
INSERT INTO managed VALUES ('a', 'tcp', 21, 'ftp', '203.0.113.0/24 2001:db8::/32');
INSERT INTO managed VALUES ('a', 'udp', 69, 'tftp', '');
"""


def of_the_first_format(path: Path, damage: str = "") -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.executescript(FIRST_FORMAT + damage)


def test_a_journal_of_the_first_format_is_carried_over(path: Path) -> None:
    """Nothing of it is lost, it can be written to at once, and the next start reads the same."""
    of_the_first_format(path)
    journal = SqliteJournal(path)
    assert journal.load() == {
        A: Record(A, EDGE, TAG, {FTP: SCOPE, TFTP: ANY}),
        B: Record(B, EDGE, TAG, {}),
    }
    journal.record([Edit(A, EDGE, TAG, forget=(FTP,))])
    journal.close()
    assert reopened(path)[A] == Record(A, EDGE, TAG, {TFTP: ANY})
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT name FROM sqlite_schema").fetchall() == [("edit",)]


@pytest.mark.parametrize(
    "damage", ["UPDATE managed SET protocol = 'sctp'", "DROP TABLE managed", "CREATE TABLE edit(x)"]
)
def test_a_damaged_one_is_refused_and_kept(path: Path, damage: str) -> None:
    """Carrying over is all or nothing: what cannot be read whole stays as it was."""
    of_the_first_format(path, damage)
    with closing(sqlite3.connect(path)) as raw:
        before = list(raw.iterdump())
    with pytest.raises(JournalError):
        SqliteJournal(path)
    with closing(sqlite3.connect(path)) as raw:
        assert list(raw.iterdump()) == before
        assert raw.execute("PRAGMA user_version").fetchone() == (1,)


# -- the second ------------------------------------------------------------------------------------

SECOND_FORMAT = """
CREATE TABLE edit (
    netns  TEXT NOT NULL,
    number INTEGER NOT NULL,
    router TEXT NOT NULL,
    tag    TEXT NOT NULL,
    forget TEXT NOT NULL,
    put    TEXT NOT NULL,
    PRIMARY KEY (netns, number)
) WITHOUT ROWID, STRICT;
PRAGMA user_version = 2;
INSERT INTO edit VALUES ('a', 1, 'edge', '6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60', '', 'tcp 21 ftp');
"""


def test_a_journal_of_the_second_format_is_carried_over(path: Path) -> None:
    """It knew nothing of debts: there are none, and from now on there may be."""
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(SECOND_FORMAT)
    journal = SqliteJournal(path)
    assert journal.load() == {A: Record(A, EDGE, TAG, {FTP: ANY})}
    journal.record([Edit(A, EDGE, TAG, owe=(OWED,))])
    journal.close()
    assert reopened(path)[A].owed == (OWED,)


# -- the third had no word for what adopts; and those to come --------------------------------------


def test_a_journal_without_that_word_is_carried_over(journal: SqliteJournal, path: Path) -> None:
    """The third format had the same tables; an older ctherd cannot read what may be in them now."""
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE})])
    journal.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA user_version = 3")
    assert reopened(path) == {A: Record(A, EDGE, TAG, {FTP: SCOPE})}
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (4,)


def test_a_newer_format_is_refused(journal: SqliteJournal, path: Path) -> None:
    """An older ctherd does not guess what a newer one wrote."""
    journal.close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(JournalError, match="newer ctherd"):
        SqliteJournal(path)
