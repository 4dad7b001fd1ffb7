"""The smallest flows of FTP, TFTP and questions by broadcast.

Source: RFC 959 (PORT), RFC 2428 (EPRT), RFC 1350 (read request).
"""

import socket
from typing import Final

from ctherd.lab.exchanges.netbios_names import question
from ctherd.lab.sockets import accepted, connected, datagrams, listening
from ctherd.model.catalog import Family
from ctherd.verify.flows.way import NoFlow, Way

_PATIENCE_S: Final = 2.0
_DATA_PORT: Final = 40_001
_LONGEST: Final = 2048


def ftp(way: Way) -> str:
    """Tell a server where data shall go, as a client in active mode does."""
    address = way.server.address(way.family)
    with (
        listening(way.server, address, way.port) as door,
        connected(way.client, address, way.port, _PATIENCE_S) as client,
        accepted(door) as server,
    ):
        server.settimeout(_PATIENCE_S)
        # The helper reads lines, and only those before which it has seen the end of one.
        for line in (b"USER ctherd\r\n", _data_port(way)):
            client.sendall(line)
            read = _line(server)
    return f"the server read {read.decode(errors='replace').strip()}"


def _data_port(way: Way) -> bytes:
    host = way.client.address(way.family)
    if way.family is Family.IPV6:
        return f"EPRT |2|{host}|{_DATA_PORT}|\r\n".encode()
    numbers = [*host.split("."), str(_DATA_PORT >> 8), str(_DATA_PORT & 0xFF)]
    return f"PORT {','.join(numbers)}\r\n".encode()


def _line(connection: socket.socket) -> bytes:
    read = b""
    while not read.endswith(b"\n"):
        more = connection.recv(_LONGEST)
        if not more:
            raise ConnectionError("the connection ended within a line")
        read += more
    return read


def tftp(way: Way) -> str:
    """Ask a server for a file, which it would send from another port."""
    address = way.server.address(way.family)
    with (
        datagrams(way.server, address, way.port) as server,
        datagrams(way.client, way.client.address(way.family)) as client,
    ):
        server.settimeout(_PATIENCE_S)
        client.sendto(b"\0\1ctherd\0octet\0", (address, way.port))
        server.recvfrom(_LONGEST)
    return "the server heard the request"


def netbios_ns(way: Way) -> str:
    """Ask everybody for a name, from a socket of the router itself."""
    if not way.broadcast:
        raise NoFlow("no interface of the router has a broadcast address")
    with datagrams(way.router, "0.0.0.0") as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.sendto(question(1), (way.broadcast, way.port))
    return f"asked {way.broadcast}"
