"""Packets as fast as one processor makes them: prebuilt frames, a thousand for each system call.

Sent on a packet socket past the queueing discipline, so that hardly anything but the way through
the router takes time. A veth hands a packet over in the sender's own context: when the call
returns, all its packets have been forwarded.
"""

import ctypes
import os
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Final

_SOL_PACKET: Final = 263
_QDISC_BYPASS: Final = 20
_AT_ONCE: Final = 1024  # UIO_MAXIOV
_PAYLOAD: Final = bytes(22)

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr, and what makes it a struct mmsghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint),
    )


class Burst:
    """Frames that lie ready to be sent, as often as one likes."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self._frames = [ctypes.create_string_buffer(frame, len(frame)) for frame in frames]
        self._vectors = (_Vector * len(frames))()
        self._headers = (_Header * len(frames))()
        for index, frame in enumerate(self._frames):
            self._vectors[index].base = ctypes.addressof(frame)
            self._vectors[index].length = len(frame)
            self._headers[index].vectors = ctypes.pointer(self._vectors[index])
            self._headers[index].vector_count = 1

    def send(self, fileno: int) -> None:
        """Send all frames, in order.

        Raises: OSError as the kernel gave it.
        """
        done, size = 0, ctypes.sizeof(_Header)
        while done < len(self._frames):
            at = ctypes.byref(self._headers, done * size)
            count = _libc.sendmmsg(fileno, at, min(_AT_ONCE, len(self._frames) - done), 0)
            if count < 0:
                errno = ctypes.get_errno()
                raise OSError(errno, os.strerror(errno))
            done += count


def packet_socket(interface: str) -> socket.socket:
    """Open a packet socket on *interface* of the netns that the thread is in."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
    opened.bind((interface, 0))
    return opened


def udp_frame(
    mac: bytes, source: tuple[IPv4Address, int], destination: tuple[IPv4Address, int]
) -> bytes:
    """Return an Ethernet frame to *mac* with a UDP packet; without UDP checksum, which is legal."""
    udp = struct.pack("!HHHH", source[1], destination[1], 8 + len(_PAYLOAD), 0) + _PAYLOAD
    addresses = source[0].packed + destination[0].packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0)
    head = head[:10] + _checksum(head + addresses) + addresses
    return mac + bytes.fromhex("020000000001") + b"\x08\x00" + head + udp


def _checksum(header: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
