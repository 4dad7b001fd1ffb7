"""The servers of the demo, and what they serve."""

import hashlib
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ctherd.demo import extras
from ctherd.demo.lifeline import READY
from ctherd.errors import CtherdError
from ctherd.lab.namespace import python
from ctherd.lab.topology import FTP_PORT, TFTP_PORT, Station

_START_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Payload:
    """A file of random content in a directory of its own; only who fetched it knows its digest."""

    path: Path
    sha256: str
    size: int


@contextmanager
def payload(size: int = 100_000) -> Iterator[Payload]:
    """Have a payload of *size* random bytes; afterwards it is gone."""
    with tempfile.TemporaryDirectory(prefix="ctherd-lab-") as directory:
        path = Path(directory, "payload.bin")
        content = secrets.token_bytes(size)
        path.write_bytes(content)
        yield Payload(path, hashlib.sha256(content).hexdigest(), size)


@contextmanager
def ftp(server: Station, served: Payload, *, port: int = FTP_PORT) -> Iterator[None]:
    """Serve the payload by FTP (pyftpdlib) on both addresses of *server*; afterwards it has ended.

    Raises: ConfigurationError without the demo's libraries; CtherdError if it does not start.
    """
    with _serving(server, "ctherd.demo.ftp_server", served, port, str(server.v4), str(server.v6)):
        yield


@contextmanager
def tftp(server: Station, served: Payload, *, port: int = TFTP_PORT) -> Iterator[None]:
    """Serve the payload by TFTP (tftpy) on both addresses of *server*; afterwards it has ended.

    Raises: ConfigurationError without the demo's libraries; CtherdError if it does not start.
    """
    module = "ctherd.demo.tftp_server"
    with (
        _serving(server, module, served, port, str(server.v4)),
        _serving(server, module, served, port, str(server.v6)),
    ):
        yield


@contextmanager
def _serving(
    server: Station, module: str, served: Payload, port: int, *hosts: str
) -> Iterator[None]:
    extras.require()
    command = python(module, str(served.path.parent), str(port), *hosts)
    with server.spawn(command) as child:
        if child.read_line(_START_S) != READY:
            child.wait(_START_S)
            raise CtherdError(f"{module} did not start: {child.complaints()}", where=server.name)
        yield
