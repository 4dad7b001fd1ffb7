"""The records of the journal: what was put, forgotten, dropped or renamed is what is read."""

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import JournalError
from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.assignment import ANY, Assignment
from ctherd.model.document import NetnsName, RouterId
from ctherd.ports import Edit, Record
from tests.journal.journals import EDGE, FTP, SCOPE, TAG, TFTP, A, B, reopened
from tests.model.strategies import assignments


def test_a_new_journal_is_empty(journal: SqliteJournal) -> None:
    """The first start knows of nothing."""
    assert journal.load() == {}


def test_what_is_recorded_is_read_by_the_next_process(journal: SqliteJournal, path: Path) -> None:
    """It is on disk when the call returns, while the journal is still open here."""
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE, TFTP: ANY})])
    assert reopened(path) == {A: Record(A, EDGE, TAG, {FTP: SCOPE, TFTP: ANY})}


@given(st.lists(assignments(), max_size=8), st.text(st.characters(codec="utf-8"), min_size=1))
def test_everything_that_can_be_declared_round_trips(given: list[Assignment], router: str) -> None:
    """Each key and each destination comes back equal, and so does any name."""
    managed = {each.key: each.destinations for each in given}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "journal"
        journal = SqliteJournal(path)
        journal.record([Edit(A, RouterId(router), TAG, managed)])
        journal.close()
        assert reopened(path) == {A: Record(A, RouterId(router), TAG, managed)}


def test_an_edit_forgets_and_puts(journal: SqliteJournal) -> None:
    """What leaves goes first, so that one edit can do both with one key; the head is replaced."""
    journal.record([Edit(A, EDGE, TAG, {FTP: ANY, TFTP: ANY})])
    renamed = RouterId("core")
    journal.record([Edit(A, renamed, TAG, {FTP: SCOPE}, forget=(FTP, TFTP))])
    assert journal.load() == {A: Record(A, renamed, TAG, {FTP: SCOPE})}
    journal.record([Edit(A, renamed, TAG, forget=(FTP,))])
    assert journal.load() == {A: Record(A, renamed, TAG, {})}


def test_edits_of_one_call_happen_together_or_not_at_all(journal: SqliteJournal) -> None:
    """If one of them cannot be written, none of them is."""
    unwritable = Edit(B, RouterId("\udc80"), TAG, {FTP: ANY})  # is not Unicode
    with pytest.raises(JournalError):
        journal.record([Edit(A, EDGE, TAG, {FTP: ANY}), unwritable])
    assert journal.load() == {}
    journal.record([Edit(A, EDGE, TAG, {FTP: ANY})])
    assert list(journal.load()) == [A]


def test_a_dropped_netns_leaves_nothing(journal: SqliteJournal, path: Path) -> None:
    """The record goes with all that it lists; unknown names are no error."""
    journal.record([Edit(A, EDGE, TAG, {FTP: ANY}), Edit(B, EDGE, TAG, {FTP: ANY})])
    journal.drop([A, NetnsName("unknown")])
    assert list(journal.load()) == [B]
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT netns FROM edit").fetchall() == [("b",)]
    raw.close()


def test_a_renamed_netns_takes_everything_along(journal: SqliteJournal) -> None:
    """Mark and contents are found under the new name, and only there."""
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE, TFTP: ANY})])
    journal.rename(A, B)
    assert journal.load() == {B: Record(B, EDGE, TAG, {FTP: SCOPE, TFTP: ANY})}


def test_two_records_do_not_become_one(journal: SqliteJournal) -> None:
    """A name that is taken is not renamed to; what is known of both stays."""
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE}), Edit(B, EDGE, TAG, {TFTP: ANY})])
    before = journal.load()
    with pytest.raises(JournalError):
        journal.rename(A, B)
    assert journal.load() == before


def test_a_netns_without_a_record_can_be_renamed(journal: SqliteJournal) -> None:
    """Nothing was made there, and nothing has to be carried over."""
    journal.rename(A, B)
    assert journal.load() == {}
