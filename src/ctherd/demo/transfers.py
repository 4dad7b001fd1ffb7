"""Transfers across the lab: which ways there are, and what came of trying one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from ctherd.demo import extras, fetch
from ctherd.demo.services import Payload
from ctherd.lab.namespace import python
from ctherd.lab.topology import FTP_PORT, TFTP_PORT, Station
from ctherd.model.catalog import Family
from ctherd.process import Child

TIMEOUT_S: Final = 1.5
"""For each wait of a client. A way that is blocked is known to be after one of them."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to fetch a file that a stateful firewall blocks unless a helper looks on.

    Shape: *method* is one that ``ctherd.demo.fetch`` knows.
    """

    name: str
    method: str
    family: Family

    @property
    def port(self) -> int:
        """The control port."""
        return TFTP_PORT if self.method == fetch.TFTP else FTP_PORT

    def __str__(self) -> str:
        return self.name


FTP_ACTIVE_V4: Final = Way("FTP active IPv4 (PORT)", fetch.FTP_ACTIVE, Family.IPV4)
FTP_PASSIVE_V4: Final = Way("FTP passive IPv4 (PASV)", fetch.FTP_PASSIVE, Family.IPV4)
FTP_ACTIVE_V6: Final = Way("FTP active IPv6 (EPRT)", fetch.FTP_ACTIVE, Family.IPV6)
FTP_PASSIVE_V6: Final = Way("FTP passive IPv6 (EPSV)", fetch.FTP_PASSIVE, Family.IPV6)
TFTP_V4: Final = Way("TFTP IPv4", fetch.TFTP, Family.IPV4)
TFTP_V6: Final = Way("TFTP IPv6", fetch.TFTP, Family.IPV6)

WAYS: Final = (
    FTP_ACTIVE_V4,
    FTP_PASSIVE_V4,
    FTP_ACTIVE_V6,
    FTP_PASSIVE_V6,
    TFTP_V4,
    TFTP_V6,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of trying to fetch the payload once.

    Shape: *error* is empty for a transfer that the client took for complete; *started_s* is by
    ``time.monotonic``, the same for all processes; *duration_ms* is the exchange alone, without
    the start of the client.
    """

    way: Way
    error: str
    sha256: str
    size: int
    started_s: float
    duration_ms: float
    expected_sha256: str

    @property
    def succeeded(self) -> bool:
        """The payload arrived as it is served."""
        return not self.error and self.sha256 == self.expected_sha256

    def __str__(self) -> str:
        if self.succeeded:
            return f"{self.way}: {self.size} bytes in {self.duration_ms:.1f} ms"
        reason = self.error or f"{self.size} bytes arrived, but not those that are served"
        return f"{self.way}: failed after {self.duration_ms:.0f} ms: {reason}"


def attempt(
    client: Station,
    server: Station,
    way: Way,
    served: Payload,
    *,
    port: int | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Attempt:
    """Fetch the payload once, by a client process inside *client*; failing is an answer too.

    Raises: CommandFailed if the client itself broke.
    """
    completed = client.run(_command(server, way, served, port, timeout_s), timeout_s=30.0)
    return _parsed(way, served, completed.stdout)


@dataclass(frozen=True, slots=True)
class Loop:
    """A client that fetches the payload again and again."""

    _child: Child
    _way: Way
    _served: Payload

    def follow(self, since_s: float, count: int) -> list[Attempt]:
        """Wait for *count* attempts that started after *since_s*; return them and all before."""
        attempts: list[Attempt] = []
        while count:
            attempts.append(_parsed(self._way, self._served, self._child.read_line(30.0)))
            count -= attempts[-1].started_s > since_s
        return attempts

    def finish(self) -> list[Attempt]:
        """End after the attempt that is under way, and return those that nobody has seen."""
        self._child.finish(30.0)
        lines = iter(lambda: self._child.read_line(1.0), "")
        return [_parsed(self._way, self._served, line) for line in lines]

    @classmethod
    @contextmanager
    def running(cls, client: Station, server: Station, way: Way, served: Payload) -> Iterator[Self]:
        """Run the loop; afterwards it has ended."""
        command = [*_command(server, way, served, None, TIMEOUT_S), "forever"]
        with client.spawn(command) as child:
            yield cls(child, way, served)


def _command(
    server: Station, way: Way, served: Payload, port: int | None, timeout_s: float
) -> list[str]:
    extras.require()
    arguments = (
        way.method,
        server.address(way.family),
        str(port or way.port),
        served.path.name,
        str(timeout_s),
    )
    return python("ctherd.demo.fetch", *arguments)


def _parsed(way: Way, served: Payload, line: str) -> Attempt:
    return Attempt(way=way, expected_sha256=served.sha256, **json.loads(line))
