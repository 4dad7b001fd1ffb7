"""TPKT: how H.225.0 and H.245 messages are told apart on a TCP connection.

Source: RFC 1006 §6; H.225.0 annex, "TPKT".
"""

import socket
import struct
from typing import Final

from ctherd.lab import sockets

_HEADER: Final = struct.Struct("!BBH")
_VERSION: Final = 3


def send(connection: socket.socket, message: bytes) -> None:
    """Send a message, in one segment: conntrack reads no message that comes in pieces.

    Raises: OSError, as ``receive``.
    """
    connection.sendall(_HEADER.pack(_VERSION, 0, _HEADER.size + len(message)) + message)


def receive(connection: socket.socket) -> bytes:
    """Return the next message.

    Raises: ConnectionError if the connection is closed.
    """
    _, _, size = _HEADER.unpack(sockets.exactly(connection, _HEADER.size))
    return sockets.exactly(connection, size - _HEADER.size)
