"""SIP over UDP: a phone behind the router registers, and a request of the registrar reaches it.

The phone says in Contact where it takes calls; the registrar asks it there, from another port than
that of the registration. Under NAT the helper rewrites Contact. Each exchange after the first
registers anew, with calls on another port. Both sides are played here, by one thread, in turn.

Source: RFC 3261 §10 (registrations), §11 (OPTIONS). The kernel lets in the registrar alone:
sip_direct_signalling.
"""

import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import Final

from ctherd.errors import RemoteProtocolError
from ctherd.lab import sockets
from ctherd.lab.case import PATIENCE_S, REPLY_S, Session, in_both_families
from ctherd.lab.endpoint import Endpoint, bare
from ctherd.lab.exchanges.sip import PORT, over_udp
from ctherd.lab.sip.message import Message
from ctherd.lab.sip.parties import Parties
from ctherd.lab.topology import Station
from ctherd.model.catalog import Family, Protocol

_AT_MOST: Final = 65536
_EXPIRES_S: Final = 60
_CONTACT: Final = re.compile(r"<sip:phone@\[?([^]]+?)\]?:(\d+)>")


@contextmanager
def session(client: Station, server: Station, family: Family, port: int) -> Iterator[Session]:
    """Have a phone on *client* and its registrar at *port* of *server*.

    Raises: OSError if they cannot hear each other.
    """
    with over_udp(client, server, family, port) as (phone, registrar):
        for each in (phone, registrar):
            each.settimeout(REPLY_S)
        yield Registration(client, server, family, phone, registrar)


@dataclass(slots=True)
class Registration:
    """A phone and its registrar, each at its end of one flow.

    Shape: *sequence* numbers the requests of the phone.
    """

    client: Station
    server: Station
    family: Family
    phone: socket.socket
    registrar: socket.socket
    call_id: str = field(default_factory=lambda: secrets.token_hex(8))
    sequence: int = 0

    def exchange(self) -> str:
        """Register, and let the registrar ask the phone for what it can do.

        Raises: ExchangeFailed.
        """
        with (
            sockets.datagrams(self.client, self.client.address(self.family)) as door,
            sockets.datagrams(self.server, self.server.address(self.family)) as asking,
        ):
            told = sockets.tried("the registration", partial(self._register, Endpoint.own(door)))
            way = f"a request to {told}, as the registrar was told"
            arrived = sockets.tried(way, partial(_ask, asking, told, door))
        return f"{arrived}, as the registrar was told {told}"

    def alive(self) -> bool:
        """Whether the registrar still answers on the flow of the registration."""
        return sockets.holds(partial(self._transact, "OPTIONS"))

    def _register(self, door: Endpoint) -> Endpoint:
        """Register with calls to *door*; return where the registrar was told that it is."""
        contact = f"<sip:phone@{door}>"
        expires = ("Expires", str(_EXPIRES_S))
        request = self._transact("REGISTER", ("Contact", contact), expires)
        return _told(dict(request.headers)["Contact"])

    def _transact(self, method: str, *more: tuple[str, str]) -> Message:
        """Ask, accept, and return the request as the registrar got it."""
        self.sequence += 1
        self.phone.send(self._request(method, *more).encode())
        request = Message.decode(self.registrar.recv(_AT_MOST))
        answer = request.accepted(f"registrar-{self.call_id}", *_bound(request))
        self.registrar.send(answer.encode())
        self.phone.recv(_AT_MOST)
        return request

    def _request(self, method: str, *more: tuple[str, str]) -> Message:
        here, there = (Endpoint.own(each) for each in (self.phone, self.registrar))
        whom = f"<sip:phone@{bare(there.host)}>"
        headers = (
            ("Via", f"SIP/2.0/UDP {here};branch=z9hG4bK{secrets.token_hex(8)};rport"),
            ("Max-Forwards", "70"),
            ("From", f"{whom};tag=phone-{self.call_id}"),
            ("To", whom),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self.sequence} {method}"),
            *more,
        )
        return Message(f"{method} sip:{there} SIP/2.0", headers)


def _bound(request: Message) -> Iterator[tuple[str, str]]:
    """Yield what a registrar confirms: the contact, and for how long (RFC 3261 §10.3)."""
    for name, value in request.headers:
        if name == "Contact":
            yield name, f"{value};expires={_EXPIRES_S}"


def _told(contact: str) -> Endpoint:
    found = _CONTACT.search(contact)
    if found is None:
        raise RemoteProtocolError(f"there is no phone in {contact!r}")
    return Endpoint(ip_address(found[1]), int(found[2]))


def _ask(asking: socket.socket, told: Endpoint, door: socket.socket) -> str:
    """Ask at *told*, which is *door*, and be answered; return who was seen to ask."""
    parties = Parties(Protocol.UDP, Endpoint.own(asking), told)
    asking.sendto(parties.request("OPTIONS", 1).encode(), told.name)
    door.settimeout(PATIENCE_S)
    received, sender = door.recvfrom(_AT_MOST)
    door.sendto(Message.decode(received).accepted(parties.tag).encode(), sender)
    asking.recv(_AT_MOST)
    return f"a request from {Endpoint.of(sender)} at {Endpoint.own(door)}"


CASES: Final = in_both_families("sip registration over udp", "sip", Protocol.UDP, PORT, session)
