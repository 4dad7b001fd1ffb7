"""The blobs of xtables extensions inside nf_tables rules, which iptables-nft writes.

Source: linux/netfilter/xt_CT.h, xt_tcpudp.h, xt_multiport.h. Numbers are in host byte order.
"""

import struct
from typing import Final, NamedTuple

from ctherd.dataplane.finding import PortRange

_CT_NOTRACK: Final = 1
_CT: Final = struct.Struct("=HHII16s")
_TCP: Final = struct.Struct("=HHHHBBBB")
_UDP: Final = struct.Struct("=HHHHB")
_MULTIPORT: Final = struct.Struct("=BB15H")
_MULTIPORT_FLAGS: Final = struct.Struct("=15BB")

_INVERT_SOURCE: Final = 1
_INVERT_DESTINATION: Final = 2
_MULTIPORT_SOURCE: Final = 0
_ANY: Final = (0, 0xFFFF)


class CtTarget(NamedTuple):
    """What the targets CT and NOTRACK do. Shape: *helper* "" assigns none."""

    notrack: bool
    helper: str


class PortMatch(NamedTuple):
    """The ports that a match lets pass; none of a side means any."""

    source: tuple[PortRange, ...] = ()
    destination: tuple[PortRange, ...] = ()


def ct_target(name: str, blob: bytes) -> CtTarget | None:
    """Decode the target *name*; None if it is another one."""
    if name == "NOTRACK":
        return CtTarget(notrack=True, helper="")
    if name != "CT" or len(blob) < _CT.size:
        return None
    flags, _, _, _, helper = _CT.unpack_from(blob)
    return CtTarget(bool(flags & _CT_NOTRACK), helper.split(b"\0", 1)[0].decode(errors="replace"))


def port_match(name: str, revision: int, blob: bytes) -> PortMatch:
    """Decode the ports of the match *name*; what is negated, or not about ports, means any."""
    if name == "multiport":
        return _multiport(revision, blob)
    layout = {"tcp": _TCP, "udp": _UDP}.get(name)
    if layout is None or len(blob) < layout.size:
        return PortMatch()
    fields = layout.unpack_from(blob)
    inverted = fields[-1]
    return PortMatch(
        () if inverted & _INVERT_SOURCE else _range(fields[0], fields[1]),
        () if inverted & _INVERT_DESTINATION else _range(fields[2], fields[3]),
    )


def _range(first: int, last: int) -> tuple[PortRange, ...]:
    return () if (first, last) == _ANY else (PortRange(first, last),)


def _multiport(revision: int, blob: bytes) -> PortMatch:
    if len(blob) < _MULTIPORT.size:
        return PortMatch()
    side, count, *ports = _MULTIPORT.unpack_from(blob)
    begins: tuple[int, ...] = (0,) * 15
    if revision and len(blob) >= _MULTIPORT.size + _MULTIPORT_FLAGS.size:
        *begins_, inverted = _MULTIPORT_FLAGS.unpack_from(blob, _MULTIPORT.size)
        if inverted:
            return PortMatch()
        begins = tuple(begins_)
    found = tuple(_multiport_ranges(ports[:count], begins))
    # A match on either side serves like one on the destination: the flow is met both ways.
    return PortMatch(source=found) if side == _MULTIPORT_SOURCE else PortMatch(destination=found)


def _multiport_ranges(ports: list[int], begins: tuple[int, ...]) -> list[PortRange]:
    ranges: list[PortRange] = []
    first: int | None = None
    for port, opens in zip(ports, begins, strict=False):
        if opens:
            first = port
            continue
        ranges.append(PortRange(port if first is None else first, port))
        first = None
    return ranges
