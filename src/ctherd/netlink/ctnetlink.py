"""Messages of ctnetlink: flows, expectations and counts, and what takes helpers and flows away.

Source: linux/netfilter/nfnetlink_conntrack.h, nf_conntrack_common.h.
"""

import struct
from typing import Final, NamedTuple

from ctherd.netlink.wire import (
    Message,
    attribute,
    attributes,
    nested,
    number,
    string,
    text,
    u8,
    u16,
    u32,
)

CHANGE_FLOW: Final = 1 << 8
"""NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW; without NLM_F_CREATE it makes none."""

DELETE_FLOW: Final = 1 << 8 | 2
"""NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE."""

GET_FLOWS: Final = 1 << 8 | 1
"""NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET."""

GET_STATISTICS: Final = 1 << 8 | 5
"""NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET_STATS."""

GET_EXPECTATIONS: Final = 2 << 8 | 1
"""NFNL_SUBSYS_CTNETLINK_EXP, IPCTNL_MSG_EXP_GET."""

ALL_FAMILIES: Final = 0

_IPS_EXPECTED: Final = 1
_IPS_HELPER: Final = 1 << 13
_CTA_TUPLE_ORIG: Final = 1
_CTA_STATUS: Final = 3
_CTA_HELP: Final = 5
_CTA_ID: Final = 12
_CTA_TUPLE_MASTER: Final = 14
_CTA_ZONE: Final = 18
_CTA_FILTER: Final = 25
_CTA_STATUS_MASK: Final = 26
_CTA_TUPLE_IP: Final = 1
_CTA_TUPLE_PROTO: Final = 2
_CTA_TUPLE_ZONE: Final = 3
_CTA_IP_SOURCE: Final = (1, 3)
_CTA_IP_DESTINATION: Final = (2, 4)
_CTA_PROTO_NUM: Final = 1
_CTA_PROTO_DST_PORT: Final = 3
_CTA_FILTER_ORIG_FLAGS: Final = 1
_CTA_FILTER_REPLY_FLAGS: Final = 2
_FILTER_PROTO_NUM: Final = 1 << 3
_FILTER_DST_PORT: Final = 1 << 5
_CTA_EXPECT_MASTER: Final = 1
_CTA_EXPECT_TUPLE: Final = 2
_CTA_EXPECT_MASK: Final = 3
_CTA_HELP_NAME: Final = 1
_CTA_EXPECT_HELP_NAME: Final = 6
_CTA_STATS_GLOBAL_ENTRIES: Final = 1
_CTA_STATS_GLOBAL_MAX_ENTRIES: Final = 2

_NESTED: Final = 0x8000
_HEADER: Final = 4  # nfgenmsg precedes the attributes


FlowName = tuple[bytes, bytes, bytes]
"""What a flow is called by its children: zone, addresses and ports of its original direction."""


class Flow(NamedTuple):
    """One flow.

    Shape: *protocol*, *address* (raw bytes) and *port* are those of the original destination; the
    helper is "" where there is none (any more); *master* is None unless the flow was expected;
    *place* are the attributes by which a request names the flow, *id* its identity among those
    that ever had the same place.
    """

    family: int
    protocol: int
    address: bytes
    port: int
    helper: str
    name: FlowName
    master: FlowName | None
    place: bytes
    id: bytes


class Expected(NamedTuple):
    """A connection that a helper expects.

    Shape: addresses are raw bytes; *source* is empty where any will do, *port* is that of the
    destination, 0 where any will do or there are none.
    """

    helper: str
    protocol: int
    source: bytes
    destination: bytes
    port: int


class Statistics(NamedTuple):
    """How full a netns' conntrack table is. Shape: *limit* 0 is unknown (before Linux 4.18)."""

    entries: int
    limit: int


def assigned_a_helper() -> bytes:
    """Encode the body that selects the flows which were assigned a helper.

    Kernels that do not know the mask ignore it and send every flow: read the helper back. So must
    one anyway, as the status bit outlives the helper.
    """
    return u32(_CTA_STATUS, _IPS_HELPER) + u32(_CTA_STATUS_MASK, _IPS_HELPER)


def was_expected() -> bytes:
    """Encode the body that selects the flows which a helper expected; as above, read it back."""
    return u32(_CTA_STATUS, _IPS_EXPECTED) + u32(_CTA_STATUS_MASK, _IPS_EXPECTED)


def addressed_to(protocol: int, port: int) -> bytes:
    """Encode the body that selects the flows to *port*, before NAT.

    It needs a family in the header. Kernels before 5.8 ignore it and send every flow.
    """
    ports = u8(_CTA_PROTO_NUM, protocol) + u16(_CTA_PROTO_DST_PORT, port)
    flags = _FILTER_PROTO_NUM | _FILTER_DST_PORT
    return nested(_CTA_TUPLE_ORIG, nested(_CTA_TUPLE_PROTO, ports)) + nested(
        _CTA_FILTER,
        # The flags, unlike everything else, are in the byte order of the host.
        attribute(_CTA_FILTER_ORIG_FLAGS, struct.pack("=I", flags)),
        attribute(_CTA_FILTER_REPLY_FLAGS, bytes(4)),
    )


def flow(message: Message) -> Flow:
    """Decode one flow of a dump."""
    found = attributes(message.body, _HEADER)
    original = attributes(found[_CTA_TUPLE_ORIG])
    addresses, ports = (attributes(original[each]) for each in (_CTA_TUPLE_IP, _CTA_TUPLE_PROTO))
    zone = bytes(found.get(_CTA_ZONE, b""))
    master = found.get(_CTA_TUPLE_MASTER)
    place = attribute(_CTA_TUPLE_ORIG | _NESTED, bytes(found[_CTA_TUPLE_ORIG]))
    return Flow(
        message.body[0],
        number(ports.get(_CTA_PROTO_NUM, b"")),
        _address(addresses, _CTA_IP_DESTINATION),
        number(ports.get(_CTA_PROTO_DST_PORT, b"")),
        _helper(found),
        _name(original, zone or bytes(original.get(_CTA_TUPLE_ZONE, b""))),
        None if master is None else _name(attributes(master), zone),
        place + (attribute(_CTA_ZONE, zone) if zone else b""),
        bytes(found.get(_CTA_ID, b"")),
    )


def _name(direction: dict[int, memoryview], zone: bytes) -> FlowName:
    return zone, bytes(direction[_CTA_TUPLE_IP]), bytes(direction[_CTA_TUPLE_PROTO])


def detach(flow: Flow) -> bytes:
    """Encode the body of CHANGE_FLOW that takes the helper, and what it expects, from *flow*."""
    return flow.place + nested(_CTA_HELP, string(_CTA_HELP_NAME, ""))


def delete(flow: Flow) -> bytes:
    """Encode the body of DELETE_FLOW that removes *flow*, and none that has its place by then."""
    return flow.place + attribute(_CTA_ID, flow.id)


def helper_of_flow(message: Message) -> str:
    """Return the kernel's name of a flow's helper, or "" if it has none (any more)."""
    return _helper(attributes(message.body, _HEADER))


def _helper(found: dict[int, memoryview]) -> str:
    inner = attributes(found[_CTA_HELP]) if _CTA_HELP in found else {}
    return text(inner.get(_CTA_HELP_NAME, b""))


def helper_of_expectation(message: Message) -> str:
    """Return the kernel's name of the helper that expects, or "" if no helper does."""
    return text(attributes(message.body, _HEADER).get(_CTA_EXPECT_HELP_NAME, b""))


def expected(message: Message) -> Expected:
    """Decode what an expectation, in a dump or an event, is about."""
    found = attributes(message.body, _HEADER)
    wanted, mask = (attributes(found[each]) for each in (_CTA_EXPECT_TUPLE, _CTA_EXPECT_MASK))
    addresses, ports = (attributes(wanted[each]) for each in (_CTA_TUPLE_IP, _CTA_TUPLE_PROTO))
    careful = _address(attributes(mask[_CTA_TUPLE_IP]), _CTA_IP_SOURCE)
    source = _address(addresses, _CTA_IP_SOURCE)
    return Expected(
        helper_of_expectation(message),
        number(ports.get(_CTA_PROTO_NUM, b"")),
        source if any(careful) else b"",
        _address(addresses, _CTA_IP_DESTINATION),
        number(ports.get(_CTA_PROTO_DST_PORT, b"")),
    )


def _address(addresses: dict[int, memoryview], kinds: tuple[int, int]) -> bytes:
    return next((bytes(addresses[kind]) for kind in kinds if kind in addresses), b"")


def master_of_expectation(message: Message) -> tuple[bytes, bytes]:
    """Return addresses and ports of the flow whose helper expects; its zone is not told."""
    direction = attributes(attributes(message.body, _HEADER)[_CTA_EXPECT_MASTER])
    return bytes(direction[_CTA_TUPLE_IP]), bytes(direction[_CTA_TUPLE_PROTO])


def statistics(message: Message) -> Statistics:
    """Decode the answer to GET_STATISTICS.

    Source: enum ctattr_stats_global.
    """
    found = attributes(message.body, _HEADER)
    return Statistics(
        number(found.get(_CTA_STATS_GLOBAL_ENTRIES, b"")),
        number(found.get(_CTA_STATS_GLOBAL_MAX_ENTRIES, b"")),
    )
