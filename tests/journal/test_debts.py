"""What flows are owed, how they end, whether they are adopted: all that is remembered."""

from pathlib import Path

from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.assignment import ANY, OnRevoke
from ctherd.model.debt import Action, Debt
from ctherd.ports import Edit, Record
from tests.journal.journals import EDGE, FTP, OWED, SCOPE, TAG, TFTP, A, B, reopened

ALSO_OWED = Debt(Action.KILL, TFTP, ANY)
ADOPTING = frozenset({FTP})


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
