"""Expressions of rules: which are known, what they refer to, and how the kernel dumps them.

The kernel keeps no bytes: it parses, and writes its own canonical form on a dump. Attributes come
in its order, registers get their short numbers, the ids of sets are gone.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ctherd.testing.nf_tables.state import Set, Table
from ctherd.testing.refusal import NotModelled, Refused
from ctherd.testing.wire import Attribute, Attributes, attribute, be32, be64, text

_NAME, _DATA = 1, 2
_OBJREF_TYPE, _OBJREF_NAME, _OBJREF_SREG, _OBJREF_SET, _OBJREF_SET_ID = 1, 2, 3, 4, 5
_IMMEDIATE_DREG, _IMMEDIATE_DATA = 1, 2
_META_DREG, _META_KEY = 1, 2
_PAYLOAD_DREG, _PAYLOAD_LENGTH = 1, 4
_CMP_SREG, _CMP_DATA = 1, 3
_CT_DREG, _CT_KEY, _CT_HELPER = 1, 2, 6
_FIB_DREG = 1
_INTERFACE_NAMES: Final = {6, 7}
_VERDICT, _VERDICT_CODE, _VERDICT_CHAIN = 2, 1, 2
_JUMPS: Final = {0xFFFFFFFD, 0xFFFFFFFC}

# name -> (attributes in the order of the kernel's dump, those of them that are registers)
_PLAIN: Final[dict[str, tuple[tuple[int, ...], frozenset[int]]]] = {
    "meta": ((2, 1, 3), frozenset({1, 3})),
    "payload": ((1, 2, 3, 4), frozenset({1})),
    "cmp": ((1, 2, 3), frozenset({1})),
    "ct": ((1, 2), frozenset({1})),
    "fib": ((1, 2, 3), frozenset({1})),
}
_KNOWN_TO_KERNEL: Final = {
    *("bitwise", "byteorder", "ct", "dynset", "exthdr", "fib", "hash", "limit", "log", "lookup"),
    *("masq", "match", "nat", "notrack", "numgen", "queue", "quota", "range", "redir", "reject"),
    *("rt", "socket", "synproxy", "target", "tproxy", "xfrm", "last", "connlimit", "counter"),
}

FindSet = Callable[[str, int | None], Set | None]


@dataclass(slots=True)
class References:
    """What the expressions of a rule refer to, and which registers they have filled so far."""

    maps: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)
    filled: set[int] = field(default_factory=set)

    def fill(self, register: int, length: int) -> None:
        """Note that *length* bytes were written."""
        self.filled.update(_slots(register, length))

    def check_filled(self, register: int, length: int, blamed: Attribute) -> None:
        """Refuse to read *length* bytes (ENODATA), unless all of them were written before."""
        if not self.filled.issuperset(_slots(register, length)):
            raise Refused(errno.ENODATA, at=blamed)


def parse(listed: Attribute | None, table: Table, find_set: FindSet) -> tuple[bytes, References]:
    """Return the expressions as a dump shows them, and what they refer to."""
    references = References()
    if listed is None:
        return b"", references
    packed = b"".join(
        attribute(1, _expression(each, table, find_set, references)) for _, each in listed.items()
    )
    return packed, references


def _expression(
    blamed: Attribute, table: Table, find_set: FindSet, references: References
) -> bytes:
    outer = blamed.nested()
    if _NAME not in outer:
        raise Refused(errno.EINVAL)
    name = outer[_NAME].text
    inner = outer[_DATA].nested() if _DATA in outer else {}
    if name in _PLAIN:
        body = _plain(name, inner)
        _follow_registers(name, inner, references, blamed)
    elif name == "counter":
        body = be64(1, 0) + be64(2, 0)
    elif name == "objref":
        body = _objref(inner, table, find_set, references, blamed)
    elif name == "immediate":
        body = _verdict(inner, table, references, blamed)
    elif name in _KNOWN_TO_KERNEL:
        raise NotModelled(f"the expression {name}")
    else:
        raise Refused(errno.ENOENT, at=blamed)
    return text(_NAME, name) + attribute(_DATA, body)


def _plain(name: str, inner: Attributes) -> bytes:
    order, registers = _PLAIN[name]
    if inner.keys() - set(order):
        raise NotModelled(f"attributes {sorted(inner.keys() - set(order))} of {name}")
    return b"".join(
        be32(kind, _register(inner[kind].number)) if kind in registers else _flat(kind, inner)
        for kind in order
        if kind in inner
    )


def _follow_registers(
    name: str, inner: Attributes, references: References, blamed: Attribute
) -> None:
    """Note what a meta or payload writes, check what a cmp reads."""
    if name == "meta" and _META_DREG in inner:
        is_name = inner[_META_KEY].number in _INTERFACE_NAMES
        references.fill(inner[_META_DREG].number, 16 if is_name else 4)
    elif name == "payload":
        references.fill(inner[_PAYLOAD_DREG].number, inner[_PAYLOAD_LENGTH].number)
    elif name == "ct":
        is_helper = inner[_CT_KEY].number == _CT_HELPER
        references.fill(inner[_CT_DREG].number, 16 if is_helper else 4)
    elif name == "fib":
        references.fill(inner[_FIB_DREG].number, 4)
    elif name == "cmp":
        value = inner[_CMP_DATA].nested()[1].payload
        references.check_filled(inner[_CMP_SREG].number, len(value), blamed)


def _slots(register: int, length: int) -> range:
    """Return the 4-byte slots that *length* bytes from *register* on cover."""
    first = 4 * (register - 1) if register < 8 else register - 8
    return range(first, first + -(-length // 4))


def _flat(kind: int, inner: Attributes) -> bytes:
    return attribute(kind, inner[kind].payload)


def _register(number: int) -> int:
    """Return the number that a dump gives a register: 8 is 1, 12 is 2, 9 stays 9."""
    if 8 <= number <= 23 and number % 4 == 0:
        return number // 4 - 1
    return number


def _objref(
    inner: Attributes,
    table: Table,
    find_set: FindSet,
    references: References,
    blamed: Attribute,
) -> bytes:
    if _OBJREF_SREG in inner and _OBJREF_SET in inner:
        set_id = inner[_OBJREF_SET_ID].number if _OBJREF_SET_ID in inner else None
        found = find_set(inner[_OBJREF_SET].text, set_id)
        if found is None:
            raise Refused(errno.ENOENT, at=blamed)
        references.check_filled(inner[_OBJREF_SREG].number, found.key_length, blamed)
        references.maps.append(found.name)
        register = _register(inner[_OBJREF_SREG].number)
        return be32(_OBJREF_SREG, register) + text(_OBJREF_SET, found.name)
    if _OBJREF_NAME not in inner or _OBJREF_TYPE not in inner:
        raise Refused(errno.EOPNOTSUPP, at=blamed)
    target = inner[_OBJREF_NAME].text
    if target not in table.objects:
        raise Refused(errno.ENOENT, at=blamed)
    references.objects.append(target)
    return text(_OBJREF_NAME, target) + be32(_OBJREF_TYPE, inner[_OBJREF_TYPE].number)


def _verdict(inner: Attributes, table: Table, references: References, blamed: Attribute) -> bytes:
    value = inner[_IMMEDIATE_DATA].nested() if _IMMEDIATE_DATA in inner else {}
    if _IMMEDIATE_DREG not in inner or _VERDICT not in value:
        raise NotModelled("immediates that are no verdicts")
    verdict = value[_VERDICT].nested()
    if _VERDICT_CODE not in verdict:
        raise Refused(errno.EINVAL, at=blamed)
    body = be32(_VERDICT_CODE, verdict[_VERDICT_CODE].number)
    if verdict[_VERDICT_CODE].number in _JUMPS:
        target = verdict[_VERDICT_CHAIN].text if _VERDICT_CHAIN in verdict else ""
        if target not in table.chains:
            raise Refused(errno.ENOENT, at=blamed)
        references.chains.append(target)
        body += text(_VERDICT_CHAIN, target)
    register = be32(_IMMEDIATE_DREG, inner[_IMMEDIATE_DREG].number)
    return register + attribute(_IMMEDIATE_DATA, attribute(_VERDICT, body))
