"""What tests put into a journal, how a next process reads it, and who else may."""

import stat
from pathlib import Path

from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.assignment import AssignmentKey, collapse, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.debt import Action, Debt
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Tag
from ctherd.ports import Record

A, B = NetnsName("a"), NetnsName("b")
EDGE = RouterId("edge")
TAG = Tag("6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60")
FTP = AssignmentKey(Protocol.TCP, 21, "ftp")
TFTP = AssignmentKey(Protocol.UDP, 69, "tftp")
SCOPE = collapse([parse_prefix("203.0.113.0/24"), parse_prefix("2001:db8::/32")])
OWED = Debt(Action.DETACH, FTP, SCOPE)


def reopened(path: Path) -> dict[NetnsName, Record]:
    """What a next process reads."""
    again = SqliteJournal(path)
    try:
        return again.load()
    finally:
        again.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
