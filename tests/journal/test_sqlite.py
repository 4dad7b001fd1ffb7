"""The journal and its state directory: private, durable, and honest about what it cannot read."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import Busy, JournalError
from ctherd.journal.sqlite import SqliteJournal
from ctherd.journal.state_dir import StateDirectory
from ctherd.model.assignment import ANY, Assignment, AssignmentKey, collapse, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Tag
from ctherd.ports import Edit, Record
from tests.model.strategies import assignments

A, B = NetnsName("a"), NetnsName("b")
EDGE = RouterId("edge")
TAG = Tag("6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60")
FTP = AssignmentKey(Protocol.TCP, 21, "ftp")
TFTP = AssignmentKey(Protocol.UDP, 69, "tftp")
SCOPE = collapse([parse_prefix("203.0.113.0/24"), parse_prefix("2001:db8::/32")])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal(path)
    yield opened
    opened.close()


def reopened(path: Path) -> dict[NetnsName, Record]:
    """What a next process reads."""
    again = SqliteJournal(path)
    try:
        return again.load()
    finally:
        again.close()


# -- the records -----------------------------------------------------------------------------------


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
    unwritable = Edit(B, EDGE, TAG, {AssignmentKey(Protocol.TCP, "x", "ftp"): ANY})  # type: ignore[arg-type]
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
        assert raw.execute("SELECT netns FROM managed").fetchall() == [("b",)]
    raw.close()


def test_a_renamed_netns_takes_everything_along(journal: SqliteJournal) -> None:
    """Mark and contents are found under the new name, and only there."""
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE, TFTP: ANY})])
    journal.rename(A, B)
    assert journal.load() == {B: Record(B, EDGE, TAG, {FTP: SCOPE, TFTP: ANY})}


# -- the files -------------------------------------------------------------------------------------


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
        "UPDATE managed SET protocol = 'sctp'",
        "UPDATE managed SET destinations = '203.0.113.0/33'",
        "DROP TABLE managed",
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


def test_a_newer_format_is_refused(journal: SqliteJournal, path: Path) -> None:
    """An older ctherd does not guess what a newer one wrote."""
    journal.close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(JournalError, match="newer ctherd"):
        SqliteJournal(path)


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


# -- the state directory ---------------------------------------------------------------------------


def test_the_state_directory_is_private(tmp_path: Path) -> None:
    """Made with mode 0700, and set to it where it existed; the lock is 0600."""
    before = os.umask(0)
    try:
        for name in ("made/anew", "open"):
            if name == "open":
                (tmp_path / name).mkdir(mode=0o755)
            with StateDirectory(tmp_path / name) as state:
                assert mode(state.path) == 0o700
                assert {mode(each) for each in state.path.iterdir()} == {0o600}
    finally:
        os.umask(before)


HOLD = """
import sys
from pathlib import Path
from ctherd.journal.state_dir import StateDirectory
with StateDirectory(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_held_directory_names_its_holder(tmp_path: Path) -> None:
    """The second process is told which one is there; once that is killed, the place is free."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Busy, match=rf"\(process {holder.pid}\)"), StateDirectory(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with StateDirectory(tmp_path) as state:
            assert (state.path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_released_directory_can_be_taken_again(tmp_path: Path) -> None:
    """The lock ends with the context."""
    for _ in range(2):
        with StateDirectory(tmp_path):
            pass


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    """What cannot be used is told as such."""
    (tmp_path / "file").touch()
    with pytest.raises(JournalError), StateDirectory(tmp_path / "file"):
        pass
