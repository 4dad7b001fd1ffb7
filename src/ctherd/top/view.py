"""What a user has chosen to see: which routers, in which order, and where the cursor is. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, TypeVar

from ctherd.top.frame import Frame, RouterRow


class Sort(StrEnum):
    """By what routers are sorted; ties go by name."""

    NAME = "name"
    TROUBLE = "trouble"
    FLOWS = "flows"
    EXPECTED = "expected"
    REPAIRS = "repairs"


class Filter(StrEnum):
    """Which routers are shown."""

    ALL = "all"
    TROUBLED = "troubled"
    BUSY = "with flows"


Choice = TypeVar("Choice", Sort, Filter)

_FIRST: Final[dict[Sort, Callable[[RouterRow], Any]]] = {
    Sort.NAME: lambda row: 0,
    Sort.TROUBLE: lambda row: not row.is_troubled,
    Sort.FLOWS: lambda row: -(row.flows or 0),
    Sort.EXPECTED: lambda row: -(row.expected or 0),
    Sort.REPAIRS: lambda row: -row.repairs,
}

_PASSES: Final[dict[Filter, Callable[[RouterRow], bool]]] = {
    Filter.ALL: lambda row: True,
    Filter.TROUBLED: lambda row: row.is_troubled,
    Filter.BUSY: lambda row: bool(row.flows or row.expected),
}


@dataclass(frozen=True, slots=True)
class View:
    """How the user looks at a frame.

    Shape: *chosen* is the netns of the router under the cursor, which stays on its router wherever
    that goes; "" is the first.
    """

    sort: Sort = Sort.NAME
    filter: Filter = Filter.ALL
    chosen: str = ""
    help: bool = False

    def rows(self, frame: Frame) -> list[RouterRow]:
        """Return the routers to show, in their order."""
        first = _FIRST[self.sort]
        shown = filter(_PASSES[self.filter], frame.routers)
        return sorted(shown, key=lambda row: (first(row), row.name, row.netns))

    def cursor(self, rows: Sequence[RouterRow]) -> int:
        """Return which of *rows* is chosen; the first if the one that was is not there."""
        return next((at for at, row in enumerate(rows) if row.netns == self.chosen), 0)

    def press(self, key: str, frame: Frame, page: int) -> "View":
        """Return the view after *key*; *page* is how many rows are shown at once."""
        match key:
            case "h" | "?":
                return replace(self, help=not self.help)
            case "escape":
                return replace(self, help=False)
            case "s":
                return replace(self, sort=_after(self.sort))
            case "f":
                return replace(self, filter=_after(self.filter))
        rows = self.rows(frame)
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -page, "page down": page}
        ends = {"home": -len(rows), "g": -len(rows), "end": len(rows), "G": len(rows)}
        step = (steps | ends).get(key)
        if step is None or not rows:
            return self
        at = min(max(self.cursor(rows) + step, 0), len(rows) - 1)
        return replace(self, chosen=rows[at].netns)


def _after(choice: Choice) -> Choice:
    all_of_them = list(type(choice))
    return all_of_them[(all_of_them.index(choice) + 1) % len(all_of_them)]


def window(cursor: int, rows: int, height: int) -> range:
    """Return which of *rows* are seen where *height* fit, the cursor among them."""
    if rows <= height:
        return range(rows)
    start = min(max(cursor - height // 2, 0), rows - height)
    return range(start, start + height)
