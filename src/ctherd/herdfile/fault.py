"""Faults of a herd file, and how they are told: all at once, each with its place and cure."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from ctherd.errors import InvalidDeclaration

Path = tuple[str | int, ...]
"""The way from the root of a file to a value: keys and indices."""

TOLD_AT_ONCE: Final = 20

_READABLE: Final = 60
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class Position(NamedTuple):
    """A place in a text; both numbers count from 1, columns in characters."""

    line: int
    column: int


class Fault(NamedTuple):
    """One thing that is wrong, where, and what would cure it."""

    position: Position
    path: Path
    what: str
    cure: str = ""

    def as_error(self, source: str) -> InvalidDeclaration:
        """Return the error that tells this fault of the file *source*."""
        place = f"{source}:{self.position.line}:{self.position.column}"
        what = f"{spell(self.path)}: {self.what}" if self.path else self.what
        return InvalidDeclaration(what, where=place, cure=self.cure)


def report(source: str, faults: Iterable[Fault]) -> InvalidDeclaration:
    """Return one error that tells *faults*, sorted by position; the first twenty, and a count.

    A fault in a list that several routers share by an alias is told once.
    """
    once: dict[tuple[Position, str], Fault] = {}
    for fault in faults:
        once.setdefault((fault.position, fault.what), fault)
    found = [once[key] for key in sorted(once)]
    if len(found) == 1:
        return found[0].as_error(source)
    lines = [str(fault.as_error(source)) for fault in found[:TOLD_AT_ONCE]]
    if len(found) > TOLD_AT_ONCE:
        lines.append(f"{source}: … and {len(found) - TOLD_AT_ONCE} more")
    return InvalidDeclaration("\n".join(lines))


def spell(path: Path) -> str:
    """Spell *path* as people write it: ``routers[0].helpers[1].port``."""
    words = "".join(f"[{step}]" if isinstance(step, int) else f".{_key(step)}" for step in path)
    return words.removeprefix(".")


def quote(value: object) -> str:
    """Spell *value* on one line, shortened, with everything unprintable escaped."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str() if len(value) > _READABLE:
            return f"{value[:_READABLE]!r}…"
    return repr(value)


def shorten(text: str) -> str:
    """Return *text* as it is written, without quotes, if that is short and printable."""
    return text if len(text) <= _READABLE and text.isprintable() else quote(text)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else quote(key)
