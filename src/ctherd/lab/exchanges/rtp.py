"""RTP: one packet of silence from one side to the other, known by its synchronization source.

Source: RFC 3550 §5.1 (fixed header), §11 (an even port for RTP); RFC 3551 §6 (payload type 0).
"""

import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ctherd.lab import sockets
from ctherd.lab.case import PATIENCE_S
from ctherd.lab.endpoint import Endpoint
from ctherd.lab.topology import Station
from ctherd.model.catalog import Family

PCMU: Final = 0
"""The payload type of G.711 µ-law, which nobody has to negotiate."""

_VERSION: Final = 2 << 6
_VERSION_MASK: Final = 3 << 6
_HEADER: Final = struct.Struct("!BBHLL")
_SILENCE: Final = b"\xff" * 160
_AT_MOST: Final = 2048
_TRIES: Final = 100


@contextmanager
def media(station: Station, family: Family) -> Iterator[socket.socket]:
    """Have a UDP socket at an even port of *station*."""
    for _ in range(_TRIES):
        with sockets.datagrams(station, station.address(family)) as opened:
            if Endpoint.own(opened).port % 2 == 0:
                opened.settimeout(PATIENCE_S)
                yield opened
                return
    raise OSError("no even port is free")


def deliver(source: socket.socket, told: Endpoint, sink: socket.socket) -> str:
    """Send a packet to where *source* was *told* that the other one is, which is *sink*.

    Shape: who was seen to send it, and where it arrived.
    Raises: OSError when there is no way; TimeoutError when the packet does not arrive.
    """
    stream = secrets.randbits(32)
    source.sendto(_HEADER.pack(_VERSION, PCMU, 1, 0, stream) + _SILENCE, told.name)
    while True:
        packet, sender = sink.recvfrom(_AT_MOST)
        if len(packet) > _HEADER.size and _HEADER.unpack_from(packet)[-1] == stream:
            return f"RTP from {Endpoint.of(sender)} at {Endpoint.own(sink)}"


def sender(sink: socket.socket) -> Endpoint:
    """Return who sent the next packet of RTP that arrives.

    Raises: OSError when none does.
    """
    while True:
        packet, source = sink.recvfrom(_AT_MOST)
        if len(packet) > _HEADER.size and packet[0] & _VERSION_MASK == _VERSION:
            return Endpoint.of(source)
