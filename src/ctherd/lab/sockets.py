"""Sockets inside of stations, for exchanges that need no program: a socket stays where it was made.

Every wait is bounded. What is said on a control connection is waited for as an answer is; for what
only a helper lets through, the caller asks for less patience.
"""

import errno
import fcntl
import select
import socket
import struct
import termios
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Final, TypeVar

from ctherd.lab.case import REPLY_S, ExchangeFailed
from ctherd.lab.topology import Station

_AT_MOST: Final = 65536
_LOOK_AGAIN_S: Final = 0.002

_T = TypeVar("_T")


def listening(station: Station, address: str, port: int = 0) -> socket.socket:
    """Return a TCP socket that connections to *address* come to; 0 is any port.

    Raises: OSError, as the next two.
    """
    door = _made(station, address, socket.SOCK_STREAM)
    # A session may follow another one on the same port at once.
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _or_closed(door, partial(patiently, partial(door.bind, (address, port))))
    return _or_closed(door, door.listen)


def connected(
    station: Station, address: str, port: int, timeout_s: float = REPLY_S
) -> socket.socket:
    """Return a TCP connection from *station* to there."""
    made = _made(station, address, socket.SOCK_STREAM)
    made.settimeout(timeout_s)
    return _or_closed(made, lambda: made.connect((address, port)))


def datagrams(
    station: Station, address: str, port: int = 0, *, shared: bool = False
) -> socket.socket:
    """Return a UDP socket that is bound to *address*; 0 is any port.

    Shape: *shared* with others, each of them hears what is sent by broadcast.
    """
    made = _made(station, address, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shared)
    return _or_closed(made, partial(patiently, partial(made.bind, (address, port))))


def raw(station: Station, protocol: int) -> socket.socket:
    """Return an IPv4 socket that gets every packet of *protocol*, header and all."""
    with station.inside():
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
    made.settimeout(REPLY_S)
    return made


def patiently(bind: Callable[[], _T]) -> _T:
    """Bind a port that may still be taken for a moment by a socket that we closed.

    A program that another thread starts holds all that we had open, until it is executed.
    Raises: OSError, as *bind* does in the end.
    """
    give_up_s = time.monotonic() + REPLY_S
    while True:
        try:
            return bind()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > give_up_s:
                raise
        time.sleep(_LOOK_AGAIN_S)


def accepted(door: socket.socket) -> socket.socket:
    """Return the next connection that comes to *door*, as patient as that is."""
    made, _ = door.accept()
    made.settimeout(door.gettimeout())
    return made


def exactly(connection: socket.socket, size: int) -> bytes:
    """Read *size* bytes.

    Raises: ConnectionError if the connection ends before; OSError.
    """
    read = bytearray()
    while len(read) < size:
        more = connection.recv(min(size - len(read), _AT_MOST))
        if not more:
            raise ConnectionError(f"the connection ended after {len(read)} of {size} bytes")
        read += more
    return bytes(read)


def acknowledged(connection: socket.socket) -> None:
    """Wait until the other end's kernel has everything that we sent; it may never be read there.

    Raises: TimeoutError; OSError if the connection was ended or broke.
    """
    give_up_s = time.monotonic() + REPLY_S
    while struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))) != (0,):
        if time.monotonic() > give_up_s:
            raise TimeoutError("what was sent is not acknowledged")
        time.sleep(_LOOK_AGAIN_S)
    readable, _, _ = select.select([connection], [], [], 0)
    if readable and not connection.recv(1, socket.MSG_PEEK):
        raise ConnectionError("the connection was ended")


def tried(what: str, act: Callable[[], _T]) -> _T:
    """Do what only a helper lets succeed.

    Raises: ExchangeFailed, with *what* was tried.
    """
    try:
        return act()
    except OSError as error:
        raise ExchangeFailed(f"{what}: {error}") from error


def holds(act: Callable[[], object]) -> bool:
    """Tell whether *act* succeeds on a connection that must be alive."""
    try:
        act()
    except OSError:
        return False
    return True


def _made(station: Station, address: str, kind: int) -> socket.socket:
    family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    with station.inside():
        made = socket.socket(family, kind)
    made.settimeout(REPLY_S)
    return made


def _or_closed(made: socket.socket, act: Callable[[], object]) -> socket.socket:
    try:
        act()
    except BaseException:
        made.close()
        raise
    return made
