"""Which packets an nf_tables rule is about: protocol, ports and interface, where cheaply known.

A small abstract run over the rule's expressions: what a register holds, and what it is compared
with. Whatever is not understood leaves the scope wider, never narrower.
Source: linux/netfilter/nf_tables.h.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from ctherd.dataplane import xt
from ctherd.dataplane.finding import LOOPBACK, PortRange, Scope
from ctherd.dataplane.ruleset import Item
from ctherd.netlink.nf_tables_read import Expression
from ctherd.netlink.wire import attributes, number, text

Fields = Mapping[int, bytes]
ReadItems = Callable[[str], Sequence[Item]]

_PROTOCOLS: Final = {6: "tcp", 17: "udp"}
_EQUAL, _LESS, _LESS_EQUAL, _GREATER, _GREATER_EQUAL = 0, 2, 3, 4, 5
_LAST_PORT: Final = 0xFFFF
_PORT_BYTES: Final = 2
_FIRST_SLOT: Final = 8
_LOOPBACK_INDEX: Final = (1).to_bytes(4, sys.byteorder)


class Loaded(Enum):
    """What a register holds, of the things that are understood."""

    L4_PROTOCOL = auto()
    SOURCE_PORT = auto()
    DESTINATION_PORT = auto()
    INTERFACE_NAME = auto()
    INTERFACE_INDEX = auto()


_META: Final = {
    16: Loaded.L4_PROTOCOL,
    6: Loaded.INTERFACE_NAME,
    7: Loaded.INTERFACE_NAME,
    4: Loaded.INTERFACE_INDEX,
    5: Loaded.INTERFACE_INDEX,
}
# By base (1 network, 2 transport), offset and length. The protocol field of IPv4, then of IPv6.
_PAYLOAD: Final = {
    (1, 9, 1): Loaded.L4_PROTOCOL,
    (1, 6, 1): Loaded.L4_PROTOCOL,
    (2, 0, 2): Loaded.SOURCE_PORT,
    (2, 2, 2): Loaded.DESTINATION_PORT,
}


@dataclass(slots=True)
class ScopeReader:
    """Runs over the expressions of one rule; *items* reads the elements of a set of its table."""

    items: ReadItems
    registers: dict[int, Loaded] = field(default_factory=dict)
    protocol: str = ""
    interface: str = ""
    source: tuple[PortRange, ...] = ()
    destination: tuple[PortRange, ...] = ()

    @property
    def scope(self) -> Scope:
        """What is known so far."""
        return Scope(self.protocol, self.destination or self.source, self.interface)

    def take(self, expression: Expression) -> None:
        """Go over one more expression."""
        name, listed = expression
        fields = dict(listed)
        match name:
            case "meta":
                self._load(fields.get(1), _META.get(number(fields.get(2, b""))))
            case "payload":
                base, offset, length = (number(fields.get(kind, b"")) for kind in (2, 3, 4))
                self._load(fields.get(1), _PAYLOAD.get((base, offset, length)))
            case "cmp":
                self._compare(
                    self.held(fields.get(1)), number(fields.get(2, b"")), _data(fields, 3)
                )
            case "range" if number(fields.get(2, b"")) == _EQUAL:
                ports = PortRange(number(_data(fields, 3)), number(_data(fields, 4)))
                self._ports(self.held(fields.get(1)), (ports,))
            case "lookup":
                self._look_up(fields)
            case "match":
                self._match(fields)
            case _:
                # Expressions that load something else (ct, fib, bitwise …) name it first or second.
                self._forget(fields)

    def held(self, register: bytes | None, further: int = 0) -> Loaded | None:
        """Return what the register, or the one *further* 4-byte registers on, holds."""
        if register is None:
            return None
        return self.registers.get(_slot(register) + further)

    def _load(self, register: bytes | None, what: Loaded | None) -> None:
        if register is None:
            return
        self.registers.pop(_slot(register), None)
        if what is not None:
            self.registers[_slot(register)] = what

    def _forget(self, fields: Fields) -> None:
        for kind in (1, 2):
            if len(fields.get(kind, b"")) == 4:
                self.registers.pop(_slot(fields[kind]), None)

    def _compare(self, held: Loaded | None, operator: int, value: bytes) -> None:
        if held in (Loaded.SOURCE_PORT, Loaded.DESTINATION_PORT):
            self._bound(held, operator, number(value))
        elif operator != _EQUAL:
            return
        elif held is Loaded.L4_PROTOCOL:
            self.protocol = protocol_name(number(value))
        elif held is Loaded.INTERFACE_NAME:
            self.interface = text(value)
        elif held is Loaded.INTERFACE_INDEX and value == _LOOPBACK_INDEX:
            self.interface = LOOPBACK

    def _bound(self, held: Loaded | None, operator: int, port: int) -> None:
        known = self.source if held is Loaded.SOURCE_PORT else self.destination
        first, last = known[0] if len(known) == 1 else PortRange(0, _LAST_PORT)
        match operator:
            case 0:
                first = last = port
            case 2 | 3:
                last = port - (operator == _LESS)
            case 4 | 5:
                first = port + (operator == _GREATER)
            case _:
                return
        self._ports(held, (PortRange(first, last),))

    def _ports(self, held: Loaded | None, ranges: tuple[PortRange, ...]) -> None:
        if held is Loaded.SOURCE_PORT:
            self.source = ranges
        elif held is Loaded.DESTINATION_PORT:
            self.destination = ranges

    def _look_up(self, fields: Fields) -> None:
        inverted = number(fields.get(5, b"")) & 1
        held = self.held(fields.get(2))
        if inverted or 3 in fields or held is None:
            return
        items = self.items(text(fields.get(1, b"")))
        if held is Loaded.L4_PROTOCOL and len(items) == 1:
            self.protocol = protocol_name(items[0].key[0])
        elif held in (Loaded.SOURCE_PORT, Loaded.DESTINATION_PORT):
            self._ports(held, port_ranges(items))

    def _match(self, fields: Fields) -> None:
        found = xt.port_match(
            text(fields.get(1, b"")), number(fields.get(2, b"")), fields.get(3, b"")
        )
        self.source = found.source or self.source
        self.destination = found.destination or self.destination


def protocol_name(value: int) -> str:
    """Return the name of a layer 4 protocol, or its number for one that no helper speaks."""
    return _PROTOCOLS.get(value, str(value))


def port_ranges(items: Sequence[Item]) -> tuple[PortRange, ...]:
    """Return the ports that a set of ports holds; none if it holds anything else."""
    if any(len(item.key) != _PORT_BYTES for item in items):
        return ()
    if any(item.ends for item in items):
        return tuple(_intervals(items))
    ranges = (PortRange(number(item.key), number(item.last or item.key)) for item in items)
    return tuple(sorted(ranges))


def _intervals(items: Sequence[Item]) -> list[PortRange]:
    # Half open, in no promised order: where one interval ends the next may begin.
    found: list[PortRange] = []
    first: int | None = None
    for port, opens in sorted((number(item.key), not item.ends) for item in items):
        if opens:
            first = port
        elif first is not None:
            found.append(PortRange(first, port - 1))
            first = None
    return found if first is None else [*found, PortRange(first, _LAST_PORT)]


def _data(fields: Fields, kind: int) -> bytes:
    return bytes(attributes(memoryview(fields.get(kind, b""))).get(1, b""))


def _slot(register: bytes) -> int:
    """Return the 4-byte register at which *register* begins; 16-byte ones have other names."""
    value = number(register)
    return _FIRST_SLOT + 4 * (value - 1) if 1 <= value <= 4 else value
