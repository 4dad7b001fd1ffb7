"""The journal's first format, one row for each assignment: read once, to be carried over."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from ctherd.journal.lines import destinations
from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Tag
from ctherd.ports import Edit

VERSION: Final = 1


def edits(database: sqlite3.Connection) -> Iterator[Edit]:
    """Yield each record as the one edit that makes it.

    Raises: sqlite3.Error, ValueError or InvalidDeclaration if it holds what makes no sense.
    """
    places = database.execute("SELECT netns, router, tag FROM place").fetchall()
    for netns, router, tag in places:
        rows = database.execute(
            "SELECT protocol, port, helper, destinations FROM managed WHERE netns = ?", (netns,)
        )
        managed: dict[AssignmentKey, Destinations] = {
            AssignmentKey(Protocol(protocol), port, helper): destinations(scope)
            for protocol, port, helper, scope in rows
        }
        yield Edit(NetnsName(netns), RouterId(router), Tag(tag), managed)


def drop(database: sqlite3.Connection) -> None:
    """Remove the tables."""
    database.execute("DROP TABLE managed")
    database.execute("DROP TABLE place")
