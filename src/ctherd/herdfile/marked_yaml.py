"""Plain data from YAML, with the line and column of every key and value.

Built from the parser's events and not from its node tree, so that no input makes it recurse.
Faults that leave the rest readable are gathered; the others end the reading with Unreadable.
What the data must look like is the schema's affair, not ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any, Final

import yaml

from ctherd.herdfile.fault import Fault, Path, Position, quote
from ctherd.herdfile.marks import Container, Marks, position
from ctherd.herdfile.scalar import Scalar, Unclear, read_scalar

MAX_DEPTH: Final = 32
MAX_VALUES: Final = 1_000_000
"""How many values a file may have after its aliases are written out ("billion laughs")."""

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTAINER_TAGS: Final = {
    None,
    "!",
    "tag:yaml.org,2002:map",
    "tag:yaml.org,2002:seq",
}

# What takes the place of a scalar that had a fault, so that it is not blamed twice.
_VOID: Final = object()


class Unreadable(Exception):
    """The text is not YAML, or not YAML that could be a herd file; carries the fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.what)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Marked:
    """The plain data of one YAML text, where each part of it stands, and the faults so far.

    Shape: *value* has dicts with text keys, lists, str, int, bool, None; it is None for an empty
    text. What had a fault is None in it.
    """

    value: object
    faults: Sequence[Fault]
    _marks: dict[int, Marks]

    def position(self, path: Path) -> Position:
        """Return where the value at *path* starts, or the innermost container that exists."""
        value: Any = self.value
        marks = self._marks.get(id(value))
        place = marks.start if marks else Position(1, 1)
        for step in path:
            found = marks.value(value, step) if marks else None
            if found is None:
                break
            place, value = found, value[step]
            marks = self._marks.get(id(value))
        return place

    def key_position(self, path: Path) -> Position:
        """Return where the last key of *path* stands."""
        container: Any = self.value
        for step in path[:-1]:
            container = container[step]
        return self._marks[id(container)].key(container, str(path[-1]))


@dataclass(slots=True)
class _Open:
    """A container that is being read, at *path*; *key* is the one whose value comes next.

    Shape: *values* and *height* measure it with its aliases written out.
    """

    path: Path
    container: Container
    marks: Marks
    anchor: str | None
    key: str | None = None
    key_read: bool = False
    values: int = 1
    height: int = 1

    @property
    def awaits_key(self) -> bool:
        """True if what comes next is a key."""
        return isinstance(self.container, dict) and not self.key_read

    @property
    def next_path(self) -> Path:
        """Where the next value goes; of a key, the mapping."""
        if self.awaits_key:
            return self.path
        step = len(self.container) if isinstance(self.container, list) else self.key or "?"
        return (*self.path, step)


@dataclass(slots=True)
class _Known:
    """What an anchor stands for; *values* is 0 while its container is still open."""

    value: object
    values: int = 0
    height: int = 0


def read_yaml(text: str) -> Marked:
    """Read the one document of *text*.

    Raises: Unreadable.
    """
    return _Reader().read(text)


class _Reader:
    """The state of one reading: open containers, anchors, faults."""

    def __init__(self) -> None:
        self.root: object = None
        self.open: list[_Open] = []
        self.anchors: dict[str, _Known] = {}
        self.marks: dict[int, Marks] = {}
        self.faults: list[Fault] = []
        self.documents = 0

    def read(self, text: str) -> Marked:
        handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._start_mapping,
            yaml.SequenceStartEvent: self._start_sequence,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._start_document,
        }
        for event in _events(text):
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)
        return Marked(self.root, self.faults, self.marks)

    def _start_document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise self._end_of_reading(event, "a second document starts here", "keep one of them")

    def _scalar(self, event: Any) -> None:
        value: object
        try:
            value = self._read(event)
        except Unclear as unclear:
            self._blame(event, unclear.what, unclear.cure)
            value = _VOID
        if event.anchor is not None:
            self.anchors[event.anchor] = _Known(value, values=1)
        self._add(value, event)

    def _read(self, event: Any) -> Scalar:
        plain = event.implicit[0]
        if plain and event.value == "<<" and self._key_is_next():
            raise Unclear(
                "merge keys (<<) are not supported",
                "share a whole list by an alias: helpers: &usual [...], then helpers: *usual",
            )
        return read_scalar(event.value, event.tag, plain=plain)

    def _start_mapping(self, event: Any) -> None:
        self._start({}, event)

    def _start_sequence(self, event: Any) -> None:
        self._start([], event)

    def _start(self, container: Container, event: Any) -> None:
        if event.tag not in _CONTAINER_TAGS:
            self._blame(event, f"the tag {quote(event.tag)} has no meaning here", "remove it")
        if len(self.open) >= MAX_DEPTH:
            raise self._end_of_reading(event, f"nested more than {MAX_DEPTH} deep")
        path = self._path()
        self._add(container, event)
        marks = self.marks[id(container)] = Marks(event.start_mark)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Known(container)
        self.open.append(_Open(path, container, marks, event.anchor))

    def _end(self, _event: Any) -> None:
        closed = self.open.pop()
        if closed.anchor is not None:
            self.anchors[closed.anchor] = _Known(closed.container, closed.values, closed.height)
        if self.open:
            self._grow(closed.values - 1, closed.height)

    def _alias(self, event: Any) -> None:
        known = self.anchors.get(event.anchor)
        if known is None:
            raise self._end_of_reading(event, f"there is no anchor {quote(event.anchor)} above")
        if not known.values:
            raise self._end_of_reading(
                event, f"the alias {quote(event.anchor)} stands inside of what it stands for"
            )
        self._add(known.value, event)
        if self.open:
            self._grow(known.values - 1, known.height)
        if len(self.open) + known.height > MAX_DEPTH:
            raise self._end_of_reading(event, f"nested more than {MAX_DEPTH} deep by aliases")
        if self.open and self.open[-1].values > MAX_VALUES:
            raise self._end_of_reading(event, f"aliases make more than {MAX_VALUES} values")

    def _grow(self, values: int, height: int) -> None:
        top = self.open[-1]
        top.values += values
        top.height = max(top.height, height + 1)

    def _key_is_next(self) -> bool:
        return bool(self.open) and self.open[-1].awaits_key

    def _add(self, value: object, event: Any) -> None:
        if not self.open:
            self.root = None if value is _VOID else value
        elif self._key_is_next():
            self._add_key(value, event)
        else:
            self._add_value(None if value is _VOID else value, event)

    def _add_key(self, key: object, event: Any) -> None:
        top = self.open[-1]
        fresh = isinstance(key, str) and key not in top.container
        if not fresh and key is not _VOID:
            self._blame_key(key, event)
        # Every entry of a list has the same few keys.
        top.key = intern(str(key)) if fresh else None
        top.key_read = True
        if top.key is not None:
            top.marks.add(event.start_mark)

    def _blame_key(self, key: object, event: Any) -> None:
        if not isinstance(key, str):
            self._blame(event, f"{quote(key)} is no key", "write keys as plain words")
            return
        top = self.open[-1]
        first = top.marks.key(top.container, key)  # type: ignore[arg-type]
        what = f"the key is here twice, first on line {first.line}, column {first.column}"
        path = (*self._path(), key)
        self.faults.append(Fault(position(event.start_mark), path, what, "keep one of them"))

    def _add_value(self, value: object, event: Any) -> None:
        top = self.open[-1]
        top.values += 1
        if isinstance(top.container, list):
            top.marks.add(event.start_mark)
            top.container.append(value)
            return
        top.key_read = False
        if top.key is not None:
            top.marks.add(event.start_mark)
            top.container[top.key] = value

    def _path(self) -> Path:
        return self.open[-1].next_path if self.open else ()

    def _blame(self, event: Any, what: str, cure: str = "") -> None:
        self.faults.append(Fault(position(event.start_mark), self._path(), what, cure))

    def _end_of_reading(self, event: Any, what: str, cure: str = "") -> Unreadable:
        return Unreadable(Fault(position(event.start_mark), self._path(), what, cure))


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f" {error.context}" if error.context else ""
        what = f"this is not YAML: {error.problem}{context}"
        raise Unreadable(Fault(position(mark), (), what, _cure(text, mark))) from error
    except yaml.YAMLError as error:
        raise Unreadable(Fault(Position(1, 1), (), f"this is not YAML: {error}")) from error


def _cure(text: str, mark: Any) -> str:
    line = next(iter(text.splitlines()[mark.line : mark.line + 1]), "")
    indent = line[: len(line) - len(line.lstrip())]
    return "indent with spaces: YAML allows no tabs there" if "\t" in indent else ""
