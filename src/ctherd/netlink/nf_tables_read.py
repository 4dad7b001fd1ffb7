"""What the kernel says of nf_tables state, decoded into plain values.

The tables of many routers are made alike, so that most of what is read after a start has been read
before in another netns: equal bytes are decoded once.

Source: linux/netfilter/nf_tables.h.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Final, TypeVar

from ctherd.netlink.nf_tables import COMMENT, Element, SetFlag, TableFlag
from ctherd.netlink.wire import Message, attribute_list, attributes, number, signed, text

_HEADER: Final = 4  # nfgenmsg precedes the attributes

_REMEMBERED: Final = 1024
"""Distinct messages, and as many elements: a few hundred bytes each."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Generation:
    """The ruleset's generation, and who made it."""

    number: int
    pid: int
    process: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table. Shape: *use* counts its chains, sets, objects and flowtables; *owner* 0: none."""

    name: str
    flags: TableFlag
    use: int
    owner: int
    comment: str


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain; *hook* and *priority* are None where it is not a base chain."""

    table: str
    name: str
    hook: int | None
    priority: int | None
    type: str
    policy: int | None


Expression = tuple[str, tuple[tuple[int, bytes], ...]]
"""An expression's name and its attributes as (kind, raw payload), sorted."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a chain."""

    table: str
    chain: str
    expressions: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """One set or map; *count* of its elements is None on kernels that do not tell it."""

    name: str
    flags: SetFlag
    key_type: int
    key_length: int
    object_type: int
    count: int | None


@dataclass(frozen=True, slots=True)
class HelperObject:
    """One ct helper object; *l3_protocol* is NFPROTO_INET where it serves both families."""

    name: str
    helper: str
    l3_protocol: int
    l4_protocol: int


def _once(decode: Callable[[dict[int, memoryview]], _T]) -> Callable[[Message], _T]:
    """Remember what *decode* made of a message's attributes; it must not be changed by anybody."""

    @lru_cache(maxsize=_REMEMBERED)
    def remembered(encoded: bytes) -> _T:
        return decode(attributes(memoryview(encoded)))

    @wraps(decode)
    def read(message: Message) -> _T:
        # What comes before them holds the generation, which is another in each netns.
        return remembered(bytes(message.body[_HEADER:]))

    return read


def generation(message: Message) -> Generation:
    """Decode a NEWGEN message."""
    found = attributes(message.body, _HEADER)
    return Generation(number(found[1]), number(found.get(2, b"")), text(found.get(3, b"")))


def generation_number(body: memoryview) -> int:
    """Decode only the number of a NEWGEN message; its attribute comes first."""
    return int.from_bytes(body[8:12], "big")


def table(message: Message) -> Table:
    """Decode a NEWTABLE message."""
    found = attributes(message.body, _HEADER)
    return Table(
        name=text(found[1]),
        flags=TableFlag(number(found.get(2, b""))),
        use=number(found.get(3, b"")),
        owner=number(found.get(7, b"")),
        comment=_comment(found.get(6)),
    )


@_once
def chain(found: dict[int, memoryview]) -> Chain:
    """Decode a NEWCHAIN message."""
    hook = attributes(found[4]) if 4 in found else {}
    return Chain(
        table=text(found[1]),
        name=text(found[3]),
        hook=number(hook[1]) if 1 in hook else None,
        priority=signed(hook[2]) if 2 in hook else None,
        type=text(found.get(7, b"")),
        policy=number(found[5]) if 5 in found else None,
    )


@_once
def rule(found: dict[int, memoryview]) -> Rule:
    """Decode a NEWRULE message."""
    listed = attribute_list(found[4]) if 4 in found else iter(())
    return Rule(
        text(found[1]), text(found[2]), tuple(_expression(payload) for _, payload in listed)
    )


def expression(encoded: bytes) -> Expression:
    """Decode one expression as the encoder wrote it, to compare it with what a rule holds."""
    return _expression(memoryview(encoded)[4:])


@_once
def set_(found: dict[int, memoryview]) -> Set:
    """Decode a NEWSET message."""
    return Set(
        name=text(found[2]),
        flags=SetFlag(number(found.get(3, b""))),
        key_type=number(found.get(4, b"")),
        key_length=number(found.get(5, b"")),
        object_type=number(found.get(15, b"")),
        count=number(found[20]) if 20 in found else None,
    )


@_once
def helper_object(found: dict[int, memoryview]) -> HelperObject | None:
    """Decode a NEWOBJ message; None if the object is of another type."""
    inner = attributes(found[4]) if 4 in found else {}
    if 1 not in inner or 3 not in inner:
        return None
    return HelperObject(
        name=text(found[2]),
        helper=text(inner[1]),
        l3_protocol=number(inner.get(2, b"")),
        l4_protocol=number(inner[3]),
    )


def elements(message: Message) -> list[Element]:
    """Decode the elements of a NEWSETELEM message.

    Shape: an element without object has the empty string as target.
    """
    found = attributes(message.body, _HEADER)
    if 3 not in found:
        return []
    return [_element(bytes(payload)) for _, payload in attribute_list(found[3])]


@lru_cache(maxsize=_REMEMBERED)
def _element(payload: bytes) -> Element:
    found = attributes(memoryview(payload))
    end = bytes(attributes(found[10])[1]) if 10 in found else None
    key = bytes(attributes(found[1])[1]) if 1 in found else b""
    return Element(key, end, text(found.get(9, b"")))


def _expression(payload: memoryview) -> Expression:
    found = attributes(payload)
    inner = attribute_list(found[2]) if 2 in found else iter(())
    return text(found[1]), tuple(sorted((kind, bytes(value)) for kind, value in inner))


def _comment(userdata: memoryview | None) -> str:
    offset = 0
    while userdata is not None and offset + 2 <= len(userdata):
        kind, size = userdata[offset], userdata[offset + 1]
        if kind == COMMENT:
            return text(userdata[offset + 2 : offset + 2 + size])
        offset += 2 + size
    return ""
