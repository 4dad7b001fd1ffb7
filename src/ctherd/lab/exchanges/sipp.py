"""SIP over UDP with sipp on both sides: a call, whose media reach a caller behind the router.

The scenarios of both sides lie beside ``ctherd.lab.sip``. The callee serves for as long as the
session lasts, and sends RTP to where the invitation told it. Each exchange is a call; all come from
one port, so they are one flow to the router.
Source: RFC 3261 §13, RFC 3264; sipp(1).
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from ctherd.lab import sockets
from ctherd.lab.case import PATIENCE_S, REPLY_S, ExchangeFailed, Program, Session, in_both_families
from ctherd.lab.endpoint import Endpoint
from ctherd.lab.exchanges import rtp
from ctherd.lab.exchanges.sip import PORT
from ctherd.lab.serving import serving
from ctherd.lab.sip.line import Line
from ctherd.lab.sip.parties import Parties
from ctherd.lab.topology import Station
from ctherd.model.catalog import Family, Protocol

_SIPP: Final = Program("sipp", "sip-tester")
_SCENARIOS: Final = resources.files("ctherd.lab.sip") / "scenarios"

_SILENCE: Final = b"\xff" * 8000
"""What is sent by RTP: a second of G.711 µ-law."""

_CALL_S: Final = 20.0
"""How long sipp may take for a call that lasts PATIENCE_S."""


@contextmanager
def session(client: Station, server: Station, family: Family, port: int) -> Iterator[Session]:
    """Have sipp as callee at *port* of *server*, for calls from the same port of *client*.

    Raises: CtherdError if it does not serve.
    """
    with tempfile.TemporaryDirectory(prefix="ctherd-lab-") as directory:
        calls = Calls(client, server, family, port, _scenarios(Path(directory)))
        with serving(server, calls.callee(), Protocol.UDP, port):
            yield calls


def _scenarios(directory: Path) -> Path:
    """Write what both sides play into *directory*, and return it."""
    silence = directory / "silence.ulaw"
    silence.write_bytes(_SILENCE)
    for side in ("caller.xml", "callee.xml"):
        text = (_SCENARIOS / side).read_text(encoding="utf-8")
        # sipp looks for files in its working directory, and knows no keyword in their names.
        (directory / side).write_text(text.replace("SILENCE", str(silence)), encoding="utf-8")
    return directory


@dataclass(frozen=True, slots=True)
class Calls:
    """A callee that serves, and callers that come and go."""

    client: Station
    server: Station
    family: Family
    port: int
    scenarios: Path

    def exchange(self) -> str:
        """Let sipp call, and look for its RTP.

        Raises: ExchangeFailed.
        """
        with rtp.media(self.client, self.family) as ear:
            here = Endpoint.own(ear)
            self._call(here)
            # The call is over: what did not come meanwhile does not come.
            ear.setblocking(False)
            try:
                return f"RTP from {rtp.sender(ear)} at {here}"
            except BlockingIOError as error:
                raise ExchangeFailed(f"the call went through, but no RTP to {here}") from error

    def alive(self) -> bool:
        """Whether the callee still answers on the flow of the calls."""
        return sockets.holds(self._ask)

    def callee(self) -> Sequence[str]:
        """Return the command that serves."""
        return self._sipp("callee.xml", self.server)

    def caller(self, ear: Endpoint) -> Sequence[str]:
        """Return the command that calls once, and wants RTP at *ear*."""
        times = ("-d", _milliseconds(PATIENCE_S), "-recv_timeout", _milliseconds(REPLY_S))
        once = ("-m", "1", "-key", "ear", str(ear.port), str(self._to))
        return [*self._sipp("caller.xml", self.client), *times, *once]

    def _call(self, ear: Endpoint) -> None:
        called = self.client.run(self.caller(ear), timeout_s=_CALL_S, check=False)
        if called.returncode != 0:
            # What it says on stdout is its screen.
            words = called.stderr.strip()
            raise ExchangeFailed(f"sipp as caller ended with {called.returncode}: {words}")

    def _sipp(self, scenario: str, station: Station) -> Sequence[str]:
        here = station.address(self.family)
        # Its screen goes nowhere: drawn once an hour, it fills no pipe.
        quiet = ("-nostdin", "-f", "3600")
        where = ("-i", here, "-mi", here, "-p", str(self.port))
        return [_SIPP.path, "-sf", str(self.scenarios / scenario), *where, *quiet]

    def _ask(self) -> None:
        address = self.client.address(self.family)
        with sockets.datagrams(self.client, address, self.port) as asking:
            asking.connect(self._to.name)
            asking.settimeout(REPLY_S)
            caller = Line(asking)
            parties = Parties(Protocol.UDP, Endpoint.own(asking), self._to)
            caller.send(parties.request("OPTIONS", 1))
            caller.receive()

    @property
    def _to(self) -> Endpoint:
        return Endpoint.of((self.server.address(self.family), self.port))


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


CASES: Final = in_both_families(
    "sip over udp by sipp", "sip", Protocol.UDP, PORT, session, "sipp on both sides", (_SIPP,)
)
