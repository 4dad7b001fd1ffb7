"""H.323 by RAS: a terminal behind the router registers, is called by the gatekeeper, and hears it.

The terminal says in its registration where it takes calls; the gatekeeper connects to there. Under
NAT the helper rewrites that address. The connection gets the helper of Q.931, and the one that is
announced over it that of H.245, so the whole call passes. Each exchange after the first registers
anew, with calls on another port. Both sides are played here, by one thread, in turn.

Source: H.225.0 §7.9 (registration), §7.8 (gatekeeper discovery); H.323 §7.2 (RAS), §8.1.5 (a call
through the gatekeeper, which is the only one that the kernel lets in: gkrouted_only).
"""

import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ctherd.lab import sockets
from ctherd.lab.case import PATIENCE_S, REPLY_S, Session, in_both_families
from ctherd.lab.endpoint import Endpoint
from ctherd.lab.exchanges.h323_call import Call, Party
from ctherd.lab.h323 import h225, per, ras
from ctherd.lab.topology import Station
from ctherd.model.catalog import Family, Protocol

PORT: Final = 1719

_AT_MOST: Final = 65536
_REFERENCE: Final = 1


@contextmanager
def session(client: Station, server: Station, family: Family, port: int) -> Iterator[Session]:
    """Have a terminal on *client* that has found its gatekeeper at *port* of *server*.

    Raises: OSError if it does not.
    """
    with (
        sockets.datagrams(server, server.address(family), port) as gatekeeper,
        sockets.datagrams(client, client.address(family)) as terminal,
    ):
        terminal.connect(gatekeeper.getsockname())
        for each in (terminal, gatekeeper):
            each.settimeout(REPLY_S)
        registration = Registration(client, server, family, terminal, gatekeeper)
        registration.discover()
        yield registration


@dataclass(slots=True)
class Registration:
    """A terminal and its gatekeeper, each with a UDP socket.

    Shape: *requests* counts what the terminal asked.
    """

    client: Station
    server: Station
    family: Family
    terminal: socket.socket
    gatekeeper: socket.socket
    requests: int = 0

    def exchange(self) -> str:
        """Register, and let the gatekeeper call.

        Raises: ExchangeFailed.
        """
        address = self.client.address(self.family)
        with sockets.listening(self.client, address) as door:
            told = sockets.tried("the registration", partial(self._register, door))
            way = f"the call to {told}, as the gatekeeper was told"
            calling = partial(sockets.connected, self.server, *told.name, PATIENCE_S)
            with sockets.tried(way, calling) as caller, sockets.accepted(door) as callee:
                terminal, gatekeeper = Party(self.client, callee), Party(self.server, caller)
                call = Call(gatekeeper, terminal, terminal, self.family, _REFERENCE)
                return f"{call.hold()}, after a call to {told}"

    def alive(self) -> bool:
        """Whether the gatekeeper still confirms that it is one."""
        return sockets.holds(self.discover)

    def discover(self) -> None:
        """Ask the gatekeeper whether it is one.

        Raises: OSError if it does not answer.
        """
        asking = partial(ras.gatekeeper_request, ras=Endpoint.own(self.terminal))
        self._transact(asking, partial(ras.gatekeeper_confirm, ras=Endpoint.own(self.gatekeeper)))

    def _register(self, door: socket.socket) -> Endpoint:
        """Register with calls to *door*; return where the gatekeeper was told that it is."""
        asking = partial(
            ras.registration_request,
            signalling=Endpoint.own(door),
            ras=Endpoint.own(self.terminal),
        )
        confirming = partial(ras.registration_confirm, identifier=secrets.token_hex(4))
        (told,) = self._transact(asking, confirming)["callSignalAddress"]
        return h225.endpoint(told)

    def _transact(self, request: Callable[[int], Any], answer: Callable[[int], Any]) -> Any:
        """Ask and answer; return the content of the request as the gatekeeper got it."""
        self.requests += 1
        self.terminal.send(per.encode(ras.RAS_MESSAGE, request(self.requests)))
        received, router = self.gatekeeper.recvfrom(_AT_MOST)
        self.gatekeeper.sendto(per.encode(ras.RAS_MESSAGE, answer(self.requests)), router)
        self.terminal.recv(_AT_MOST)
        _, content = per.decode(ras.RAS_MESSAGE, received)
        return content


CASES: Final = in_both_families("RAS", "RAS", Protocol.UDP, PORT, session)
