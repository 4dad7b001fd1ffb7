"""The columns of the table of routers: what each one says, and which a narrow terminal can hold."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from rich.text import Text

from ctherd.top.frame import RouterRow

COLOURS: Final = {"active": "green", "pending": "yellow", "partial": "yellow"}
"""How statuses look; whatever else there is, is red."""


class Column(NamedTuple):
    """One column; it is shown where the terminal has *from_width* cells or more."""

    title: str
    cell: Callable[[RouterRow], Text]
    from_width: int = 0
    right: bool = False


def states_in_words(states: Mapping[str, int]) -> Text:
    """Return how many have each status; what is not active stands first."""
    told = Text()
    for state, count in sorted(states.items(), key=lambda each: (each[0] == "active", each[0])):
        told.append(f"{', ' if told else ''}{count} {state}", COLOURS.get(state, "red"))
    return told or Text("–", "dim")


def _name(row: RouterRow) -> Text:
    return Text(row.name, "bold red" if row.error else "bold")


def _fares(row: RouterRow) -> Text:
    if row.error:
        return Text(row.error, "red")
    return states_in_words(row.states)


def _number(count: int | None) -> Text:
    if count is None:
        return Text("–", "dim")
    return Text(str(count), "" if count else "dim")


def _drift(row: RouterRow) -> Text:
    return Text("; ".join(row.drift), "red")


_COLUMNS: Final = (
    Column("router", _name),
    Column("netns", lambda row: Text(row.netns), 90),
    Column("assignments", _fares, 30),
    Column("flows", lambda row: _number(row.flows), 44, right=True),
    Column("expected", lambda row: _number(row.expected), 60, right=True),
    Column("repairs", lambda row: _number(row.repairs), 60, right=True),
    Column("drift", _drift, 110),
)


def columns_for(width: int) -> list[Column]:
    """Return the columns that *width* cells can hold."""
    return [each for each in _COLUMNS if each.from_width <= width]
