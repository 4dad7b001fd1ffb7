"""Which datagrams arrive at a station, whoever they are for: proof that a one-way packet passed.

Source: packet(7), linux/if_ether.h, RFC 791, RFC 8200, RFC 768.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from ctherd.lab.namespace import Namespace

_ALL_PROTOCOLS: Final = 3  # ETH_P_ALL
_OUTGOING: Final = 4  # PACKET_OUTGOING
_UDP: Final = 17
_V6_HEADER: Final = 40


class Arrivals:
    """Datagrams to one UDP port that arrived at a station and were not counted yet."""

    def __init__(self, wire: socket.socket, port: int) -> None:
        self._wire = wire
        self._port = port

    @classmethod
    @contextmanager
    def at(cls, station: Namespace, port: int) -> Iterator[Self]:
        """Look at all that arrives at *station* until the context ends."""
        with station.inside():
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
        with wire:
            wire.setblocking(False)
            yield cls(wire, port)

    def count(self) -> int:
        """Count those that arrived since the last call."""
        return sum(udp_destination(packet) == self._port for packet in self._arrived())

    def _arrived(self) -> Iterator[bytes]:
        while True:
            try:
                packet, address = self._wire.recvfrom(128)
            except BlockingIOError:
                return
            if address[2] != _OUTGOING:
                yield packet


def udp_destination(packet: bytes) -> int | None:
    """Return the destination port of an IP *packet*, None if it is no UDP, or not all there."""
    version = packet[0] >> 4 if packet else 0
    if version == 4:
        protocol, size = packet[9:10], (packet[0] & 15) * 4
    elif version == 6:
        protocol, size = packet[6:7], _V6_HEADER
    else:
        return None
    if protocol != bytes((_UDP,)) or len(packet) < size + 4:
        return None
    return int(struct.unpack_from("!H", packet, size + 2)[0])
