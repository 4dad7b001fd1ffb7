"""Which flows a dump lists: CTA_FILTER on the original direction, and the status mask."""

import errno
import sys
from collections.abc import Iterator
from typing import Final

from ctherd.testing.conntrack.flows import ADDRESSES, ORIGINAL, PORTS, STATUS, Flow
from ctherd.testing.refusal import NotModelled, Refused
from ctherd.testing.wire import Attributes

FILTER: Final = 25
_STATUS_MASK: Final = 26
_FILTER_FLAGS: Final = 1
_FILTER_REPLY_FLAGS: Final = 2
_SOURCE, _DESTINATION, _ZONE, _L4, _SOURCE_PORT, _DESTINATION_PORT = (1 << n for n in range(6))
_KNOWN: Final = _SOURCE | _DESTINATION | _L4 | _SOURCE_PORT | _DESTINATION_PORT


def selected(flow: Flow, attributes: Attributes) -> bool:
    """Tell whether the filters of a dump let *flow* pass."""
    return _status_passes(flow, attributes) and _parts_pass(flow, attributes)


def _status_passes(flow: Flow, attributes: Attributes) -> bool:
    if STATUS not in attributes or _STATUS_MASK not in attributes:
        return True
    return flow.status & attributes[_STATUS_MASK].number == attributes[STATUS].number


def _parts_pass(flow: Flow, attributes: Attributes) -> bool:
    """Compare the parts of the original direction that CTA_FILTER flags."""
    if FILTER not in attributes:
        return True
    inner = attributes[FILTER].nested()
    if _FILTER_REPLY_FLAGS in inner and any(inner[_FILTER_REPLY_FLAGS].payload):
        raise NotModelled("filters on the reply direction")
    if _FILTER_FLAGS not in inner:
        raise Refused(errno.EINVAL)
    flags = int.from_bytes(inner[_FILTER_FLAGS].payload, sys.byteorder)
    if flags & ~_KNOWN:
        raise NotModelled(f"filter flags {flags:#x}")
    wanted = attributes[ORIGINAL].nested() if ORIGINAL in attributes else {}
    return all(_part(wanted, bit) == value for bit, value in _parts(flow) if flags & bit)


def _parts(flow: Flow) -> Iterator[tuple[int, bytes]]:
    original = flow.original
    yield _SOURCE, original.source
    yield _DESTINATION, original.destination
    yield _L4, bytes((original.l4,))
    yield _SOURCE_PORT, original.source_port.to_bytes(2, "big")
    yield _DESTINATION_PORT, original.destination_port.to_bytes(2, "big")


def _part(wanted: Attributes, bit: int) -> bytes:
    nest, kinds = {
        _SOURCE: (ADDRESSES, (1, 3)),
        _DESTINATION: (ADDRESSES, (2, 4)),
        _L4: (PORTS, (1,)),
        _SOURCE_PORT: (PORTS, (2,)),
        _DESTINATION_PORT: (PORTS, (3,)),
    }[bit]
    inner = wanted[nest].nested() if nest in wanted else {}
    for kind in kinds:
        if kind in inner:
            return inner[kind].payload
    raise Refused(errno.EINVAL)
