"""The log of edits that the journal is: it grows by what is new, and is summed up."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.assignment import ANY, AssignmentKey, Destinations
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName
from ctherd.ports import Edit, Record
from tests.journal.journals import EDGE, FTP, SCOPE, TAG, TFTP, A, B


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
