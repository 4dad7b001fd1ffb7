"""SANE: a client behind the router scans; the image comes over a connection to a port of its own.

The server names that port in its answer to START. The helper reads it, and expects the connection.
The client is ours; the server is saned with its backend "test", which needs no scanner, or ours.
Source: SANE Standard Version 1.06, chapter 5; net/netfilter/nf_conntrack_sane.c, to which a START
must be a packet by itself.
"""

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from ctherd.lab.case import PATIENCE_S, Case, Program, Session
from ctherd.lab.exchanges import sane_protocol as sane
from ctherd.lab.exchanges.sane_protocol import Call
from ctherd.lab.exchanges.sane_server import own_server
from ctherd.lab.serving import serving
from ctherd.lab.sockets import acknowledged, connected, exactly, holds, tried
from ctherd.lab.topology import Station, Topology
from ctherd.model.catalog import Family, Protocol

PORT: Final = 6566

_SANED: Final = Program("saned", "sane-utils")
_DEVICE: Final = "test:0"

# Everybody may scan a page of that size. What is not said of it is nothing, not a default.
_CONFIGURATION: Final = {
    "saned.conf": "+\n",
    "dll.conf": "test\n",
    "test.conf": "resolution_max 1200.0\nresolution 50.0\ngeometry_max 200.0\n"
    "br_x 80.0\nbr_y 100.0\n",
}

Serve = Callable[[Station, Family, int], AbstractContextManager[None]]
"""Serves on the address of a station, at a port, until the context ends."""


@contextmanager
def session(
    client: Station, server: Station, family: Family, port: int, serve: Serve
) -> Iterator[Session]:
    """Serve at *server*, and have *client* open the scanner there.

    Raises: OSError or CtherdError if that is not possible.
    """
    address = server.address(family)
    with serve(server, family, port), connected(client, address, port) as control:
        scanner = _Scanner(client, address, control)
        scanner.open(_DEVICE)
        yield scanner


class _Scanner:
    """A scanner that is open over *control*."""

    def __init__(self, client: Station, address: str, control: socket.socket) -> None:
        self._client, self._address, self._control = client, address, control
        self._handle, self._answers = 0, True

    def open(self, device: str) -> None:
        """Begin to speak the protocol, and open the device."""
        self._call(Call.INIT, sane.words(sane.VERSION) + sane.string("lab"))
        sane.read_words(self._control, 1)
        self._call(Call.OPEN, sane.string(device))
        (self._handle,) = sane.read_words(self._control, 1)
        self._no_password()

    def exchange(self) -> str:
        """Scan one image."""
        self._call(Call.START, sane.words(self._handle))
        port, _ = sane.read_words(self._control, 2)
        self._no_password()
        self._answers = False
        size = tried(f"the image from port {port}", partial(self._image, port))
        self._answers = True
        return f"an image of {size} bytes from {self._address}, port {port}"

    def _image(self, port: int) -> int:
        with connected(self._client, self._address, port, PATIENCE_S) as data:
            size = 0
            while (record := sane.read_words(data, 1)[0]) != sane.END_OF_RECORDS:
                size += len(exactly(data, record))
            (status,) = exactly(data, 1)
        if status != sane.END_OF_FILE or not size:
            raise OSError(f"the image ended with status {status}, after {size} bytes")
        return size

    def alive(self) -> bool:
        """Tell whether the server answers CANCEL, or its kernel at least acknowledges it.

        saned 1.2.1 polls for the data connection, and then accepts it even if none came: it says
        nothing more, for ever.
        """
        return holds(self._cancel)

    def _cancel(self) -> None:
        self._control.sendall(sane.words(Call.CANCEL, self._handle))
        if self._answers:
            sane.read_words(self._control, 1)
        else:
            acknowledged(self._control)

    def _call(self, call: Call, arguments: bytes) -> None:
        """Ask, and read the status, which comes first in the answer."""
        self._control.sendall(sane.words(call) + arguments)
        (status,) = sane.read_words(self._control, 1)
        if status != sane.GOOD:
            raise OSError(f"the scanner answered {call.name} with status {status}")

    def _no_password(self) -> None:
        if resource := sane.read_string(self._control):
            raise OSError(f"the scanner wants a password for {resource}")


@contextmanager
def saned(server: Station, family: Family, port: int) -> Iterator[None]:
    """Serve with saned."""
    address = server.address(family)
    with tempfile.TemporaryDirectory(prefix="ctherd-lab-") as directory:
        for name, content in _CONFIGURATION.items():
            Path(directory, name).write_text(content, encoding="ascii")
        command = [_SANED.path, "-l", "-e", "-b", address, "-p", str(port)]
        with serving(server, command, Protocol.TCP, port, env={"SANE_CONFIG_DIR": directory}):
            yield


def _case(name: str, family: Family, software: str, serve: Serve, *needs: Program) -> Case:
    def opened(net: Topology) -> AbstractContextManager[Session]:
        return session(net.client, net.server, family, PORT, serve)

    return Case(name, "sane", Protocol.TCP, PORT, family, software, opened, needs)


CASES: Final = (
    _case("sane, IPv4", Family.IPV4, "saned, own client", saned, _SANED),
    _case("sane, IPv6", Family.IPV6, "saned, own client", saned, _SANED),
    _case("sane, IPv4, own server", Family.IPV4, "own exchange", own_server),
    _case("sane, IPv6, own server", Family.IPV6, "own exchange", own_server),
)
