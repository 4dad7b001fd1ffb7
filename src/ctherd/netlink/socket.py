"""The only file that opens netlink sockets. It moves bytes and knows no message.

Source: linux/netlink.h, asm-generic/socket.h, linux/filter.h.
"""

import ctypes
import errno
import os
import socket
import struct
from typing import Final

NETLINK_ROUTE: Final = 0
NETLINK_NETFILTER: Final = 12

_SOL_NETLINK: Final = 270
_ADD_MEMBERSHIP: Final = 1
_LISTEN_ALL_NSID: Final = 8
_CAP_ACK: Final = 10
_EXT_ACK: Final = 11
_SO_ATTACH_FILTER: Final = 26
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_SO_NETNS_COOKIE: Final = 71

RECEIVE_BYTES: Final = 64 * 1024
"""More than any datagram of a dump, which the kernel fills to 32 KiB at most."""


class NetlinkSocket:
    """A transport to the kernel of the netns in which it was opened; it stays bound to it.

    Shape: *buffer* receives every datagram and may be shared by all sockets of one thread, as a
    fresh large buffer per read would make reads several times slower.
    """

    def __init__(
        self,
        buffer: bytearray | None = None,
        *,
        protocol: int = NETLINK_NETFILTER,
        fileno: int | None = None,
    ) -> None:
        self._buffer = memoryview(buffer if buffer is not None else bytearray(RECEIVE_BYTES))
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, protocol, fileno=fileno)
        if fileno is None:
            self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
            self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
            self._socket.bind((0, 0))
        self._portid: int = self._socket.getsockname()[0]
        self._sendable = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    @property
    def portid(self) -> int:
        """The address under which the kernel knows this socket."""
        return self._portid

    @property
    def cookie(self) -> int:
        """The cookie of this socket's netns, unique until the machine boots again."""
        raw = self._socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        return int(struct.unpack("=Q", raw)[0])

    def fileno(self) -> int:
        """Return the file descriptor, for event loops and systemd's fd store."""
        return self._socket.fileno()

    def send(self, message: bytes) -> None:
        """Hand one datagram to the kernel; room is made for unusually large ones."""
        if len(message) + 1024 > self._sendable:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 2 * len(message))
            self._sendable = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self._socket.send(message)

    def receive(self, *, wait: bool = True) -> memoryview:
        """Return the next datagram; the view is valid until the buffer is used again."""
        size = self._socket.recv_into(self._buffer, 0, 0 if wait else socket.MSG_DONTWAIT)
        return self._buffer[:size]

    def close(self) -> None:
        """Close the socket; tables that it owns are unguarded from now on."""
        self._socket.close()


class EventSocket:
    """Receives multicast messages, of its own netns or of all that have an nsid here.

    Shape: *instructions* is a classic BPF program that the kernel runs on each message, so that
    what we do not want never fills the receive buffer.
    Raises: PermissionError if *all_namespaces* is asked for without CAP_NET_BROADCAST.
    """

    def __init__(
        self,
        protocol: int,
        group: int,
        *,
        all_namespaces: bool = False,
        instructions: list[tuple[int, int, int, int]] | None = None,
        receive_bytes: int = 1024 * 1024,
    ) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        try:
            if all_namespaces:
                self._socket.setsockopt(_SOL_NETLINK, _LISTEN_ALL_NSID, 1)
            if instructions:
                self._attach(instructions)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_bytes)
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the file descriptor, for event loops."""
        return self._socket.fileno()

    def receive(self) -> tuple[memoryview, int | None] | None:
        """Return the next datagram and the nsid it came from (None: our own netns), or None.

        Raises: OSError (ENOBUFS) if events were lost.
        """
        try:
            raw, ancillary, _, _ = self._socket.recvmsg(8192, socket.CMSG_SPACE(4))
        except BlockingIOError:
            return None
        for level, kind, value in ancillary:
            if level == _SOL_NETLINK and kind == _LISTEN_ALL_NSID:
                return memoryview(raw), int(struct.unpack("=i", value[:4])[0])
        return memoryview(raw), None

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _attach(self, instructions: list[tuple[int, int, int, int]]) -> None:
        program = b"".join(struct.pack("=HBBI", *each) for each in instructions)
        held = ctypes.create_string_buffer(program)
        pointer = struct.pack("HL", len(instructions), ctypes.addressof(held))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)


def lost_events(error: OSError) -> bool:
    """Tell whether *error* says that the kernel had to throw messages away."""
    return error.errno == errno.ENOBUFS


def adopt(fileno: int, buffer: bytearray | None = None) -> NetlinkSocket:
    """Take over an inherited netlink socket, with everything it owns.

    Raises: OSError if *fileno* is not a netfilter netlink socket; it is closed then.
    """
    try:
        probe = socket.socket(fileno=os.dup(fileno))
        right = probe.family == socket.AF_NETLINK and probe.proto == NETLINK_NETFILTER
        probe.close()
        if not right:
            raise OSError(errno.EPROTOTYPE, "not a netfilter socket")
    except OSError:
        os.close(fileno)
        raise
    return NetlinkSocket(buffer, fileno=fileno)
