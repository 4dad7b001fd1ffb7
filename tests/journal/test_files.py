"""The files of the journal: private, and kept as they are where they cannot be read."""

import os
import sqlite3
from pathlib import Path

import pytest

from ctherd.errors import JournalError
from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.assignment import ANY
from ctherd.ports import Edit
from tests.journal.journals import EDGE, FTP, SCOPE, TAG, A, mode, reopened


def test_nobody_else_may_read_it(path: Path) -> None:
    """Mode 0600 whatever the umask, and the same for SQLite's side files."""
    before = os.umask(0)
    try:
        journal = SqliteJournal(path)
        journal.record([Edit(A, EDGE, TAG, {FTP: ANY})])
        assert {mode(each) for each in path.parent.iterdir()} == {0o600}
        assert len(list(path.parent.iterdir())) > 1
        journal.close()
    finally:
        os.umask(before)


@pytest.mark.parametrize("content", [b"not a database at all, but long enough" * 50, b"SQLite"])
def test_a_corrupt_file_is_refused_and_kept(path: Path, content: bytes) -> None:
    """It is not repaired, and not written to: the error says where, and what to do."""
    path.write_bytes(content)
    with pytest.raises(JournalError) as caught:
        SqliteJournal(path)
    assert caught.value.where == str(path)
    assert "ctherd reclaim" in caught.value.cure
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE edit SET put = 'sctp 21 ftp'",
        "UPDATE edit SET put = 'tcp 21 ftp 203.0.113.0/33'",
        "UPDATE edit SET put = 'tcp 21'",
        "UPDATE edit SET put = put || x'0a'",
        "UPDATE edit SET forget = 'tcp ftp 21'",
        "DROP TABLE edit",
    ],
)
def test_records_that_make_no_sense_are_refused(
    journal: SqliteJournal, path: Path, damage: str
) -> None:
    """What is no assignment cannot be read as one, and is not skipped either."""
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE})])
    journal.close()
    raw = sqlite3.connect(path)
    raw.execute(damage)
    raw.commit()
    raw.close()
    with pytest.raises(JournalError):
        reopened(path)


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """Who can write to the directory cannot make us write elsewhere."""
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError):
        SqliteJournal(path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    """The journal does not make directories; that is told as its error."""
    with pytest.raises(JournalError):
        SqliteJournal(tmp_path / "absent" / "journal")
