"""Where the parts of a container stand in the text, in a few bytes each.

Nobody asks unless something is wrong. As objects of the parser, marks took four times the memory of
all else that a file needs, and a process that has once had so much memory keeps it.
"""

from array import array
from collections.abc import Iterable
from typing import Any

from ctherd.herdfile.fault import Position

Container = dict[str, object] | list[object]


def position(mark: Any) -> Position:
    """Return the parser's *mark* as people count."""
    return Position(mark.line + 1, mark.column + 1)


class Marks:
    """Where a container starts, and each of its values; in a mapping, each key before its value.

    Shape: lines and columns of all that, one after the other, in the container's own order.
    """

    __slots__ = ("_numbers",)

    def __init__(self, start: Any) -> None:
        self._numbers = array("I")
        self.add(start)

    def add(self, mark: Any) -> None:
        """Note where the next key or value starts."""
        self._numbers.append(mark.line)
        self._numbers.append(mark.column)

    @property
    def start(self) -> Position:
        """Where the container starts."""
        return self._at(0)

    def value(self, container: Container, step: str | int) -> Position | None:
        """Return where the value at *step* of *container* starts, None if there is none."""
        if isinstance(container, list):
            return self._at(1 + step) if isinstance(step, int) and step < len(container) else None
        return self._at(2 + 2 * _rank(container, step)) if step in container else None

    def key(self, container: Iterable[str], key: str) -> Position:
        """Return where *key* stands, one of those that the mapping *container* has."""
        return self._at(1 + 2 * _rank(container, key))

    def _at(self, rank: int) -> Position:
        line, column = self._numbers[2 * rank : 2 * rank + 2]
        return Position(line + 1, column + 1)


def _rank(container: Iterable[str], key: str | int) -> int:
    return next(rank for rank, each in enumerate(container) if each == key)
