"""Aligned packed encoding rules: types as data, each of which writes and reads its values.

A value is what Python calls it: an int, a bool, bytes, a list, a dict for a SEQUENCE (an OPTIONAL
component that is absent has no key), a pair of name and value for a CHOICE, None for NULL. Only
what the lab's calls need of H.323 is known; the rest has no type, and may not be used.

Source: ITU-T X.691 (aligned variant); section numbers are those of the edition 07/2002.
"""

from collections.abc import Mapping
from collections.abc import Sequence as Listed
from dataclasses import dataclass
from typing import Any, Protocol

from ctherd.errors import RemoteProtocolError
from ctherd.lab.h323.bits import Reader, Writer


class Type(Protocol):
    """An ASN.1 type."""

    def write(self, value: Any, to: Writer) -> None:
        """Append *value*."""

    def read(self, source: Reader) -> Any:
        """Return the next value."""


def encode(kind: Type, value: Any) -> bytes:
    """Return *value* as a whole message, or as the content of an open type (§10.2)."""
    writer = Writer()
    kind.write(value, writer)
    return writer.done()


def decode(kind: Type, octets: bytes) -> Any:
    """Read what ``encode`` returned.

    Raises: RemoteProtocolError if it is cut off, or says what the lab does not know.
    """
    try:
        return kind.read(Reader(octets))
    except (LookupError, ValueError) as error:
        raise RemoteProtocolError(f"not a message that the lab knows: {error}") from error


@dataclass(frozen=True, slots=True)
class Null:
    """NULL, which takes no bit (§18)."""

    def write(self, value: None, to: Writer) -> None:
        """Append nothing."""

    def read(self, source: Reader) -> None:
        """Read nothing."""


@dataclass(frozen=True, slots=True)
class Boolean:
    """BOOLEAN, one bit (§11)."""

    def write(self, value: bool, to: Writer) -> None:
        """Append it."""
        to.bits(value, 1)

    def read(self, source: Reader) -> bool:
        """Return it."""
        return bool(source.bits(1))


@dataclass(frozen=True, slots=True)
class Integer:
    """INTEGER (lowest..highest) of at most 64K values (§10.5.7)."""

    lowest: int
    highest: int

    def write(self, value: int, to: Writer) -> None:
        """Append how far it is above the lowest."""
        width, aligned = self._shape
        if aligned:
            to.align()
        to.bits(value - self.lowest, width)

    def read(self, source: Reader) -> int:
        """Return it."""
        width, aligned = self._shape
        if aligned:
            source.align()
        return source.bits(width) + self.lowest

    @property
    def _shape(self) -> tuple[int, bool]:
        count = self.highest - self.lowest + 1
        if count <= 255:
            return (count - 1).bit_length(), False
        return (8 if count == 256 else 16), True


@dataclass(frozen=True, slots=True)
class Octets:
    """OCTET STRING (SIZE (size)), with more than two octets (§16.6)."""

    size: int

    def write(self, value: bytes, to: Writer) -> None:
        """Append it."""
        to.octets(value)

    def read(self, source: Reader) -> bytes:
        """Return it."""
        return source.octets(self.size)


@dataclass(frozen=True, slots=True)
class ObjectIdentifier:
    """OBJECT IDENTIFIER, as the content octets of its basic encoding (§23)."""

    def write(self, value: bytes, to: Writer) -> None:
        """Append it."""
        to.octets(bytes([len(value)]) + value)

    def read(self, source: Reader) -> bytes:
        """Return it."""
        return source.octets(_length(source))


@dataclass(frozen=True, slots=True)
class Text:
    """BMPString (SIZE (1..longest)), with less than 256 characters (§27)."""

    longest: int

    def write(self, value: str, to: Writer) -> None:
        """Append it."""
        Integer(1, self.longest).write(len(value), to)
        to.octets(value.encode("utf-16-be"))

    def read(self, source: Reader) -> str:
        """Return it."""
        count = Integer(1, self.longest).read(source)
        return source.octets(2 * count).decode("utf-16-be")


@dataclass(frozen=True, slots=True)
class SequenceOf:
    """SEQUENCE OF item, of any number of them below 128 (§19, §10.9.3.6)."""

    item: Type

    def write(self, value: Listed[Any], to: Writer) -> None:
        """Append their number, and them."""
        to.octets(bytes([len(value)]))
        for each in value:
            self.item.write(each, to)

    def read(self, source: Reader) -> list[Any]:
        """Return them."""
        return [self.item.read(source) for _ in range(_length(source))]


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a SEQUENCE; one without a type is never present in what the lab says."""

    name: str
    kind: Type | None
    optional: bool = False


def always(name: str, kind: Type) -> Component:
    """Return a component that has to be present."""
    return Component(name, kind)


def maybe(name: str, kind: Type | None = None) -> Component:
    """Return an OPTIONAL component."""
    return Component(name, kind, optional=True)


@dataclass(frozen=True, slots=True)
class Sequence:
    """SEQUENCE, with an extension marker or without one (§18).

    Shape: *additions* are the components after the marker, as far as the lab knows them.
    """

    root: Listed[Component]
    additions: Listed[Component] = ()
    extensible: bool = True

    def write(self, value: Mapping[str, Any], to: Writer) -> None:
        """Append which components there are, and them."""
        present = [each.name in value for each in self.additions]
        if self.extensible:
            to.bits(any(present), 1)
        for each in self.root:
            if each.optional:
                to.bits(each.name in value, 1)
        for each in self.root:
            if not each.optional or each.name in value:
                _known(each).write(value[each.name], to)
        if any(present):
            self._write_additions(value, present, to)

    def _write_additions(self, value: Mapping[str, Any], present: Listed[bool], to: Writer) -> None:
        # A normally small length, one less than it is (§10.9.3.4).
        to.bits(len(present) - 1, 7)
        for bit in present:
            to.bits(bit, 1)
        for each in self.additions:
            if each.name in value:
                _write_open(_known(each), value[each.name], to)

    def read(self, source: Reader) -> dict[str, Any]:
        """Return what is present, without additions that are not known."""
        extended = self.extensible and source.bits(1)
        present = [not each.optional or bool(source.bits(1)) for each in self.root]
        value = {
            each.name: _known(each).read(source)
            for each, there in zip(self.root, present, strict=True)
            if there
        }
        return value | self._read_additions(source) if extended else value

    def _read_additions(self, source: Reader) -> dict[str, Any]:
        present = [source.bits(1) for _ in range(source.bits(7) + 1)]
        value = {}
        for index, there in enumerate(present):
            if there:
                content = source.octets(_length(source))
                if index < len(self.additions) and (kind := self.additions[index].kind):
                    value[self.additions[index].name] = decode(kind, content)
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """CHOICE, with an extension marker or without one (§22).

    Shape: alternatives by name, in their order; one without a type is never chosen by the lab.
    """

    root: Mapping[str, Type | None]
    additions: Mapping[str, Type | None] | None = None
    extensible: bool = True

    def write(self, value: tuple[str, Any], to: Writer) -> None:
        """Append which alternative it is, and its value."""
        name, content = value
        added = name not in self.root
        if self.extensible:
            to.bits(added, 1)
        if added:
            # A normally small number (§10.6), below 64.
            to.bits(list(self.additions or ()).index(name), 7)
            _write_open(self._kind(name), content, to)
            return
        self._index.write(list(self.root).index(name), to)
        self._kind(name).write(content, to)

    def read(self, source: Reader) -> tuple[str, Any]:
        """Return the name of the alternative, and its value."""
        if self.extensible and source.bits(1):
            name = list(self.additions or ())[source.bits(7)]
            return name, decode(self._kind(name), source.octets(_length(source)))
        name = list(self.root)[self._index.read(source)]
        return name, self._kind(name).read(source)

    @property
    def _index(self) -> Integer:
        return Integer(0, len(self.root) - 1)

    def _kind(self, name: str) -> Type:
        kind = {**self.root, **(self.additions or {})}[name]
        if kind is None:
            raise LookupError(f"the lab does not know the alternative {name}")
        return kind


def unused(first: int, end: int) -> dict[str, None]:
    """Return the alternatives *first* to *end* - 1, which only count: their number is encoded."""
    return {f"unused-{index}": None for index in range(first, end)}


def _known(component: Component) -> Type:
    if component.kind is None:
        raise LookupError(f"the lab does not know the component {component.name}")
    return component.kind


def _write_open(kind: Type, value: Any, to: Writer) -> None:
    content = encode(kind, value)
    _write_length(len(content), to)
    to.octets(content)


def _write_length(length: int, to: Writer) -> None:
    # §10.9.3.6 and §10.9.3.7; nothing of ours has 16K octets.
    wide = length >= 128
    to.octets((length | 0x8000 if wide else length).to_bytes(2 if wide else 1, "big"))


def _length(source: Reader) -> int:
    (first,) = source.octets(1)
    return source.bits(8) | (first & 0x3F) << 8 if first & 0x80 else first
