"""Flows and expectations: what they are, and how ctnetlink writes and reads them.

Source: linux/netfilter/nfnetlink_conntrack.h.
"""

import errno
import itertools
from dataclasses import dataclass, field
from typing import Final

from ctherd.testing.refusal import Refused
from ctherd.testing.wire import Attribute, Attributes, attribute, be32, text

ORIGINAL: Final = 1
REPLY: Final = 2
STATUS: Final = 3
HELP: Final = 5
TIMEOUT: Final = 7
MARK: Final = 8
_USE: Final = 11
ID: Final = 12
MASTER: Final = 14

EXPECT_MASTER: Final = 1
EXPECT_TUPLE: Final = 2
EXPECT_MASK: Final = 3
_EXPECT_TIMEOUT: Final = 4
_EXPECT_ID: Final = 5
EXPECT_HELPER: Final = 6
_EXPECT_FLAGS: Final = 8
_EXPECT_CLASS: Final = 9

ADDRESSES: Final = 1
PORTS: Final = 2
CONFIRMED: Final = 0x8
HELPER_ASSIGNED: Final = 0x2000
EXPECTED: Final = 0x1

_ids = itertools.count(0x1000)


@dataclass(frozen=True, slots=True)
class Tuple:
    """One direction of a flow; addresses are raw bytes, ports 0 where there are none."""

    source: bytes
    destination: bytes
    l4: int
    source_port: int
    destination_port: int

    def pack(self, kind: int) -> bytes:
        """Write it as attribute *kind*."""
        first = 1 if len(self.source) == 4 else 3
        addresses = attribute(first, self.source) + attribute(first + 1, self.destination)
        ports = attribute(1, bytes((self.l4,)))
        ports += attribute(2, self.source_port.to_bytes(2, "big"))
        ports += attribute(3, self.destination_port.to_bytes(2, "big"))
        return _nest(kind, _nest(ADDRESSES, addresses) + _nest(PORTS, ports))


@dataclass(slots=True, eq=False)
class Flow:
    """One conntrack entry.

    Shape: *helper* None: none now; *helped* tells whether it ever had one: then it can keep or
    lose it, but never get another. One with a *master* was expected by that one's helper, and the
    kernel changes nothing about its own.
    """

    family: int
    original: Tuple
    reply: Tuple
    helper: str | None = None
    helped: bool = False
    timeout_s: int = 300
    mark: int = 0
    status: int = CONFIRMED
    master: "Flow | None" = None
    id: int = field(default_factory=lambda: next(_ids))


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """What a helper of *master* waits for."""

    master: Flow
    tuple: Tuple
    mask: Tuple
    helper: str
    timeout_s: int
    id: int = field(default_factory=lambda: next(_ids))


def show_flow(flow: Flow) -> bytes:
    """Write a CT_NEW body."""
    body = flow.original.pack(ORIGINAL) + flow.reply.pack(REPLY)
    body += be32(STATUS, flow.status) + be32(MARK, flow.mark) + be32(ID, flow.id)
    body += be32(_USE, 1) + be32(TIMEOUT, flow.timeout_s)
    if flow.master is not None:
        body += flow.master.original.pack(MASTER)
    return body + (_nest(HELP, text(1, flow.helper)) if flow.helper else b"")


def show_expectation(shown: Expectation) -> bytes:
    """Write an EXP_NEW body."""
    body = shown.tuple.pack(EXPECT_TUPLE) + shown.mask.pack(EXPECT_MASK)
    body += shown.master.original.pack(EXPECT_MASTER)
    body += be32(_EXPECT_TIMEOUT, shown.timeout_s) + be32(_EXPECT_ID, shown.id)
    return (
        body + be32(_EXPECT_FLAGS, 0) + be32(_EXPECT_CLASS, 0) + text(EXPECT_HELPER, shown.helper)
    )


def _nest(kind: int, body: bytes) -> bytes:
    """Write a nest; ctnetlink, unlike nf_tables, flags them as such."""
    return attribute(kind | 0x8000, body)


def wanted_tuple(attributes: Attributes) -> Tuple:
    """Return the direction that a request names.

    Raises: Refused (EINVAL) if it names none.
    """
    if ORIGINAL in attributes:
        return parse_tuple(attributes[ORIGINAL])
    if REPLY in attributes:
        return parse_tuple(attributes[REPLY])
    raise Refused(errno.EINVAL)


def parse_tuple(nest: Attribute) -> Tuple:
    """Read one direction.

    Raises: Refused (EINVAL) if something is missing.
    """
    outer = nest.nested()
    if ADDRESSES not in outer or PORTS not in outer:
        raise Refused(errno.EINVAL)
    addresses, ports = outer[ADDRESSES].nested(), outer[PORTS].nested()
    first = 1 if 1 in addresses else 3
    if first not in addresses or first + 1 not in addresses or 1 not in ports:
        raise Refused(errno.EINVAL)
    return Tuple(
        addresses[first].payload,
        addresses[first + 1].payload,
        ports[1].number,
        ports[2].number if 2 in ports else 0,
        ports[3].number if 3 in ports else 0,
    )


def helper_name(attributes: Attributes) -> str:
    """Return the helper that a request names; "" takes it away."""
    inner = attributes[HELP].nested()
    if 1 not in inner:
        raise Refused(errno.EINVAL)
    return inner[1].text
