"""SIP over UDP and TCP: a call, whose media reach a caller behind the router.

The caller invites and offers where it wants its RTP; the callee accepts and sends there. Under NAT
the helper rewrites the offer. Each exchange after the first is a re-INVITE in the same dialog, with
media on another port. Both sides are played here, by one thread, in turn.

Source: RFC 3261 (§12 dialogs, §13 INVITE, §14 re-INVITE); RFC 3264 (offer and answer).
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from ctherd.lab import sockets
from ctherd.lab.case import REPLY_S, Session, in_both_families
from ctherd.lab.endpoint import Endpoint
from ctherd.lab.exchanges import rtp
from ctherd.lab.sip.line import Line
from ctherd.lab.sip.message import SDP, Message, described, description
from ctherd.lab.sip.parties import Parties
from ctherd.lab.topology import Station
from ctherd.model.catalog import Family, Protocol

PORT: Final = 5060


@contextmanager
def session(
    client: Station, server: Station, family: Family, port: int, transport: Protocol
) -> Iterator[Session]:
    """Have a caller on *client* and a callee at *port* of *server*, who can hear each other.

    Raises: OSError if they cannot.
    """
    lines = over_udp if transport is Protocol.UDP else _over_tcp
    with lines(client, server, family, port) as (caller, callee):
        for each in (caller, callee):
            each.settimeout(REPLY_S)
        parties = Parties(transport, Endpoint.own(caller), Endpoint.own(callee))
        yield Dialog(client, server, family, parties, Line(caller), Line(callee))


@contextmanager
def over_udp(
    client: Station, server: Station, family: Family, port: int
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Have both ends of one flow to *port* of *server*, connected to each other.

    Raises: OSError if nothing passes.
    """
    with (
        sockets.datagrams(server, server.address(family), port) as callee,
        sockets.datagrams(client, client.address(family)) as caller,
    ):
        caller.connect(callee.getsockname())
        # Empty lines, as clients send them to keep a NAT binding (RFC 5626 §3.5.1).
        caller.send(b"\r\n\r\n")
        _, router = callee.recvfrom(16)
        callee.connect(router)
        yield caller, callee


@contextmanager
def _over_tcp(
    client: Station, server: Station, family: Family, port: int
) -> Iterator[tuple[socket.socket, socket.socket]]:
    address = server.address(family)
    with (
        sockets.listening(server, address, port) as door,
        sockets.connected(client, address, port) as caller,
        sockets.accepted(door) as callee,
    ):
        yield caller, callee


@dataclass(slots=True)
class Dialog:
    """A caller and a callee, each at its end of one control connection.

    Shape: *sequence* numbers the requests; *begun* once an invitation was accepted.
    """

    client: Station
    server: Station
    family: Family
    parties: Parties
    caller: Line
    callee: Line
    sequence: int = 0
    begun: bool = False

    def exchange(self) -> str:
        """Invite, or invite again, and let the callee send RTP to the caller.

        Raises: ExchangeFailed.
        """
        with (
            rtp.media(self.client, self.family) as ear,
            rtp.media(self.server, self.family) as mouth,
        ):
            told = sockets.tried("the call", partial(self._invite, ear, mouth))
            way = f"RTP to {told}, as the callee was told"
            arrived = sockets.tried(way, partial(rtp.deliver, mouth, told, ear))
        return f"{arrived}, as the callee was told {told}"

    def alive(self) -> bool:
        """Whether the callee still answers on the control connection."""
        return sockets.holds(partial(self._transact, "OPTIONS"))

    def _invite(self, ear: socket.socket, mouth: socket.socket) -> Endpoint:
        """Return where the callee was told to send."""
        offer, answer = (
            description(Endpoint.own(each), rtp.PCMU, self.sequence) for each in (ear, mouth)
        )
        invitation = self._transact("INVITE", offer, answer)
        self.begun = True
        # An ACK has the number of what it acknowledges, and no answer (RFC 3261 §17.1.1.3).
        self.caller.send(self.parties.request("ACK", self.sequence, within=True))
        self.callee.receive()
        return described(invitation.body)

    def _transact(self, method: str, offer: str = "", answer: str = "") -> Message:
        """Ask, accept, and return the request as the callee got it."""
        self.sequence += 1
        asked = self.parties.request(method, self.sequence, within=self.begun, body=offer)
        self.caller.send(asked)
        request = self.callee.receive()
        more = (self.parties.contact, SDP) if answer else (self.parties.contact,)
        self.callee.send(request.accepted(self.parties.tag, *more, body=answer))
        self.caller.receive()
        return request


CASES: Final = (
    *in_both_families(
        "sip over udp", "sip", Protocol.UDP, PORT, partial(session, transport=Protocol.UDP)
    ),
    *in_both_families(
        "sip over tcp", "sip", Protocol.TCP, PORT, partial(session, transport=Protocol.TCP)
    ),
)
