"""One end of a control connection, over which whole messages come and go.

Over UDP a datagram is a message; over TCP its header Content-Length says where it ends.
Source: RFC 3261 §18.3.
"""

import re
import socket
from dataclasses import dataclass
from typing import Final

from ctherd.lab.sip.message import END_OF_HEADERS, Message

_LENGTH: Final = re.compile(rb"\r\nContent-Length: (\d+)\r\n")
_AT_MOST: Final = 65536


@dataclass(slots=True)
class Line:
    """One end, of a socket that is connected to the other end."""

    _socket: socket.socket
    _unread: bytes = b""

    def send(self, message: Message) -> None:
        """Send a message.

        Raises: OSError, as ``receive``.
        """
        self._socket.sendall(message.encode())

    def receive(self) -> Message:
        """Return the next message.

        Raises: ConnectionError when the other end has closed a TCP connection.
        """
        if self._socket.type is socket.SOCK_DGRAM:
            return Message.decode(self._socket.recv(_AT_MOST))
        while (size := _size_of_first(self._unread)) > len(self._unread):
            more = self._socket.recv(_AT_MOST)
            if not more:
                raise ConnectionError("the connection was closed")
            self._unread += more
        message, self._unread = self._unread[:size], self._unread[size:]
        return Message.decode(message)


def _size_of_first(octets: bytes) -> int:
    """Return how long the first message is, or more than there is if that is not known yet."""
    head, found, _ = octets.partition(END_OF_HEADERS)
    length = _LENGTH.search(head + b"\r\n")
    if not found or length is None:
        return len(octets) + 1
    return len(head) + len(found) + int(length[1])
