"""The journal and its state directory: private, durable, and honest about what it cannot read."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import Busy, JournalError
from ctherd.journal.sqlite import SqliteJournal
from ctherd.journal.state_dir import StateDirectory
from ctherd.model.assignment import (
    ANY,
    Assignment,
    AssignmentKey,
    Destinations,
    OnRevoke,
    collapse,
    parse_prefix,
)
from ctherd.model.catalog import Protocol
from ctherd.model.debt import Action, Debt
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


# -- the log ---------------------------------------------------------------------------------------


def rows(path: Path) -> list[tuple[str, str, str]]:
    """What lies on disk: netns, forget, put of each edit in their order."""
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute("SELECT netns, forget, put FROM edit ORDER BY netns, number").fetchall()


def test_an_addition_writes_what_is_new(journal: SqliteJournal, path: Path) -> None:
    """A thousand assignments that stay as they are are not written again."""
    many = {AssignmentKey(Protocol.TCP, port, "ftp"): ANY for port in range(1000, 2000)}
    journal.record([Edit(A, EDGE, TAG, many)])
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE}, forget=(TFTP,))])
    _, added = rows(path)
    assert added == ("a", "udp 69 tftp", "tcp 21 ftp 203.0.113.0/24 2001:db8::/32")


def test_the_log_stays_short(journal: SqliteJournal, path: Path) -> None:
    """However often one router changes, its record is as before, and a start reads little."""
    journal.record([Edit(B, EDGE, TAG, {TFTP: ANY})])
    for _ in range(100):
        journal.record([Edit(A, EDGE, TAG, {FTP: ANY})])
        journal.record([Edit(A, EDGE, TAG, {TFTP: SCOPE}, forget=(FTP,))])
    assert journal.load() == {
        A: Record(A, EDGE, TAG, {TFTP: SCOPE}),
        B: Record(B, EDGE, TAG, {TFTP: ANY}),
    }
    assert len(rows(path)) < 40


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("record"),
            st.sampled_from([A, B]),
            st.dictionaries(st.sampled_from([FTP, TFTP]), st.sampled_from([ANY, SCOPE])),
            st.lists(st.sampled_from([FTP, TFTP]), unique=True).map(tuple),
        ),
        st.tuples(st.just("drop"), st.sampled_from([A, B])),
        st.tuples(st.just("rename"), st.sampled_from([(A, B), (B, A)])),
        st.tuples(st.just("reopen")),
    ),
    max_size=150,
)


@given(STEPS)
def test_any_history_comes_to_what_its_steps_say(steps: list[tuple[Any, ...]]) -> None:
    """Whatever was summed up, dropped, renamed or read by another process in between."""
    with tempfile.TemporaryDirectory() as directory:
        journal = SqliteJournal(Path(directory) / "journal")
        model: dict[NetnsName, dict[AssignmentKey, Destinations]] = {}
        for step in steps:
            match step:
                case ("record", netns, put, forget):
                    journal.record([Edit(netns, EDGE, TAG, put, forget)])
                    kept = {k: v for k, v in model.get(netns, {}).items() if k not in forget}
                    model[netns] = kept | put
                case ("drop", netns):
                    journal.drop([netns])
                    model.pop(netns, None)
                case ("rename", (old, new)) if new not in model:
                    journal.rename(old, new)
                    model |= {new: model.pop(old)} if old in model else {}
                case ("reopen",):
                    journal.close()
                    journal = SqliteJournal(journal.path)
        assert journal.load() == {
            netns: Record(netns, EDGE, TAG, managed) for netns, managed in model.items()
        }
        journal.close()


# -- the first format ------------------------------------------------------------------------------

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
    with StateDirectory(tmp_path):
        pass
    with StateDirectory(tmp_path) as again:
        assert again.path == tmp_path


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    """What cannot be used is told as such."""
    (tmp_path / "file").touch()
    with pytest.raises(JournalError), StateDirectory(tmp_path / "file"):
        pass


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


# -- what live flows are owed ----------------------------------------------------------------------

OWED = Debt(Action.DETACH, FTP, SCOPE)
ALSO_OWED = Debt(Action.KILL, TFTP, ANY)


def test_debts_are_remembered_until_they_are_paid(path: Path, journal: SqliteJournal) -> None:
    """Each once, in the same transaction as what is put and forgotten, and after a sum as well."""
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE}, owe=(OWED,))])
    journal.record([Edit(A, EDGE, TAG, owe=(OWED, ALSO_OWED), forget=(FTP,))])
    for _ in range(40):
        journal.record([Edit(A, EDGE, TAG, {TFTP: ANY})])
    expected = Record(A, EDGE, TAG, {TFTP: ANY}, owed=(OWED, ALSO_OWED))
    assert reopened(path) == {A: expected}
    journal.record([Edit(A, EDGE, TAG, paid=(OWED,))])
    assert reopened(path) == {A: expected._replace(owed=(ALSO_OWED,))}
    journal.rename(A, B)
    assert reopened(path)[B].owed == (ALSO_OWED,)


def test_how_an_assignment_ends_is_remembered(path: Path, journal: SqliteJournal) -> None:
    """With it, and as it was last put; it is forgotten with it."""
    kill = {FTP: OnRevoke.KILL, TFTP: OnRevoke.LEAVE}
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE, TFTP: ANY}, on_revoke=kill)])
    assert reopened(path)[A].on_revoke == kill
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE})])
    assert reopened(path)[A].on_revoke == {TFTP: OnRevoke.LEAVE}
    journal.record([Edit(A, EDGE, TAG, forget=(TFTP,))])
    assert reopened(path)[A] == Record(A, EDGE, TAG, {FTP: SCOPE})


# -- what shall reach open flows -------------------------------------------------------------------

ADOPTING = frozenset({FTP})


def test_which_assignments_adopt_is_read_by_the_next_process(
    journal: SqliteJournal, path: Path
) -> None:
    """With destinations and an end of its own or without, until recorded anew or forgotten."""
    for scope in (ANY, SCOPE):
        for on_revoke in ({}, {FTP: OnRevoke.KILL}):
            put = {FTP: scope, TFTP: ANY}
            journal.record([Edit(A, EDGE, TAG, put, on_revoke=on_revoke, adopting=ADOPTING)])
            assert reopened(path) == {A: Record(A, EDGE, TAG, put, on_revoke, adopting=ADOPTING)}
    journal.record([Edit(A, EDGE, TAG, {TFTP: ANY})])
    assert journal.load()[A].adopting == ADOPTING
    journal.record([Edit(A, EDGE, TAG, {FTP: ANY})])
    assert journal.load()[A].adopting == frozenset()
    journal.record([Edit(A, EDGE, TAG, {FTP: ANY}, adopting=ADOPTING)])
    journal.record([Edit(A, EDGE, TAG, forget=(FTP,))])
    assert journal.load()[A].adopting == frozenset()


def test_summing_up_keeps_which_assignments_adopt(journal: SqliteJournal) -> None:
    """However long the log became meanwhile."""
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE}, adopting=ADOPTING)])
    for _ in range(100):
        journal.record([Edit(A, EDGE, TAG, {TFTP: ANY})])
    assert journal.load()[A].adopting == ADOPTING


def test_a_journal_without_that_word_is_carried_over(journal: SqliteJournal, path: Path) -> None:
    """The third format had the same tables; an older ctherd cannot read what may be in them now."""
    journal.record([Edit(A, EDGE, TAG, {FTP: SCOPE})])
    journal.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA user_version = 3")
    assert reopened(path) == {A: Record(A, EDGE, TAG, {FTP: SCOPE})}
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (4,)
