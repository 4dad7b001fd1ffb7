"""TFTP: tftpd-hpa serves, its own client fetches; all that the server says needs the helper.

The server answers from another port than it was asked on. The client asks again from the port that
it asked from before, so to the router it is one flow to port 69.
Source: RFC 1350, section 4.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ctherd.lab.arrivals import Arrivals
from ctherd.lab.case import PATIENCE_S, REPLY_S, Case, ExchangeFailed, Program, Session
from ctherd.lab.offer import FILE, offer
from ctherd.lab.serving import serving
from ctherd.lab.topology import TFTP_PORT, Topology
from ctherd.model.catalog import Family, Protocol
from ctherd.process import Child

_TFTPD: Final = Program("in.tftpd", "tftpd-hpa")
_TFTP: Final = Program("tftp", "tftp-hpa")
_LAST_LINE_OF_STATUS: Final = "Rexmt-interval"


@dataclass(frozen=True, slots=True)
class _Fetching:
    """A client that reads commands, and fetches the payload to the file *fetched* each time."""

    client: Child
    arrivals: Arrivals
    fetched: Path
    payload: bytes

    def exchange(self) -> str:
        """Fetch the payload.

        Raises: ExchangeFailed.
        """
        self.fetched.unlink(missing_ok=True)
        self.client.write_line(f"get {FILE} {self.fetched}")
        said = self._said()
        received = self.fetched.read_bytes() if self.fetched.exists() else b""
        if received != self.payload:
            raise ExchangeFailed(f"{len(received)} bytes came: {said}")
        return f"{len(received)} bytes"

    def alive(self) -> bool:
        """Tell whether a request of the client arrived at the server since the last call."""
        return self.arrivals.count() > 0

    def _said(self) -> str:
        """Return what the client said of its last command: it does not say when it is done."""
        self.client.write_line("status")
        lines: list[str] = []
        while not lines or not lines[-1].startswith(_LAST_LINE_OF_STATUS):
            lines.append(self.client.read_line(PATIENCE_S + REPLY_S))
        return lines[0].replace("tftp> ", "").strip()


@contextmanager
def _open(family: Family, net: Topology) -> Iterator[Session]:
    address = net.server.address(family)
    place = f"{address if family is Family.IPV4 else f'[{address}]'}:{TFTP_PORT}"
    # Unbuffered, as into a pipe it would say everything in the end.
    client = ["stdbuf", "-o0", _TFTP.path, "-m", "binary", address, str(TFTP_PORT)]
    with offer() as offered:
        server = [_TFTPD.path, "--foreground", "--address", place, "--secure", str(offered.root)]
        with (
            serving(net.server, server, Protocol.UDP, TFTP_PORT),
            Arrivals.at(net.server, TFTP_PORT) as arrivals,
            net.client.spawn(client) as asking,
        ):
            for limit in ("rexmt", "timeout"):
                asking.write_line(f"{limit} {round(PATIENCE_S)}")
            yield _Fetching(asking, arrivals, offered.directory / "fetched", offered.content)


def _case(family: Family, name: str) -> Case:
    return Case(
        name=name,
        helper="tftp",
        l4=Protocol.UDP,
        port=TFTP_PORT,
        family=family,
        software="tftpd-hpa, client tftp-hpa",
        open=partial(_open, family),
        needs=(_TFTPD, _TFTP),
    )


CASES: Final = (_case(Family.IPV4, "tftp, IPv4"), _case(Family.IPV6, "tftp, IPv6"))
