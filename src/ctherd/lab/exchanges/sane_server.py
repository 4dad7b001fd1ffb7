"""As much of a SANE server as one scan needs: a scanner whose image is random bytes.

Source: SANE Standard Version 1.06, chapter 5.
"""

import secrets
import socket
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from ctherd.lab.answering import answering
from ctherd.lab.case import PATIENCE_S
from ctherd.lab.exchanges import sane_protocol as sane
from ctherd.lab.exchanges.sane_protocol import Call
from ctherd.lab.sockets import accepted, listening
from ctherd.lab.topology import Station
from ctherd.model.catalog import Family

_IMAGE: Final = 20_000
_RECORD: Final = 8_192


@contextmanager
def own_server(server: Station, family: Family, port: int) -> Iterator[None]:
    """Serve on the address of *server*, with threads of our own."""
    with answering(server, partial(_Server, server, server.address(family), port)):
        yield


class _Server(socketserver.ThreadingTCPServer):
    """Serves at *station*, which is where an image is fetched too."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, station: Station, address: str, port: int) -> None:
        self.station, self.address = station, address
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Client)


class _Client(socketserver.BaseRequestHandler):
    """One client's connection."""

    server: _Server
    request: socket.socket

    def handle(self) -> None:
        """Answer call by call, until the client hangs up."""
        with suppress(ConnectionError):
            while (call := sane.read_words(self.request, 1)[0]) != Call.EXIT:
                self._answer(call)

    def _answer(self, call: int) -> None:
        if call == Call.INIT:
            sane.read_words(self.request, 1)
            sane.read_string(self.request)
            self.request.sendall(sane.words(sane.GOOD, sane.VERSION))
        elif call == Call.OPEN:
            sane.read_string(self.request)
            self.request.sendall(sane.words(sane.GOOD, 1) + sane.string(""))
        else:
            sane.read_words(self.request, 1)
            self._start() if call == Call.START else self.request.sendall(sane.words(0))

    def _start(self) -> None:
        with listening(self.server.station, self.server.address) as door:
            door.settimeout(PATIENCE_S)
            port, byte_order = door.getsockname()[1], 0x1234
            self.request.sendall(sane.words(sane.GOOD, port, byte_order) + sane.string(""))
            with suppress(TimeoutError), accepted(door) as data:
                _send(data, secrets.token_bytes(_IMAGE))


def _send(data: socket.socket, image: bytes) -> None:
    for start in range(0, len(image), _RECORD):
        record = image[start : start + _RECORD]
        data.sendall(sane.words(len(record)) + record)
    data.sendall(sane.words(sane.END_OF_RECORDS) + bytes([sane.END_OF_FILE]))
