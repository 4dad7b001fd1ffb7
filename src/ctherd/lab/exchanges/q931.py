"""H.323 by Q.931 and H.245: a call, whose media reach a caller behind the router.

Three steps, each of which passes because the one before announced it: the callee says in Connect
where it takes the H.245 connection; over that it opens a logical channel, and the caller answers
where it takes RTP; the callee sends it there. Under NAT the helper rewrites that address. Each
exchange is a call of its own, over the one signalling connection.

Left out of what terminals say: H.245 master/slave determination and capability exchange, which no
helper reads. Both sides are played here, by one thread, in turn.
Source: H.323 §8 (call signalling procedures), H.225.0 §7.3, H.245 §C.4 (logical channels).
"""

import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ctherd.lab import sockets
from ctherd.lab.case import PATIENCE_S, REPLY_S, Case, Session
from ctherd.lab.endpoint import Endpoint
from ctherd.lab.exchanges import rtp
from ctherd.lab.h323 import h225, h245, signalling, tpkt
from ctherd.lab.h323.q931 import FROM_CALLED, Message, MessageType
from ctherd.lab.topology import Station, Topology
from ctherd.model.catalog import Family, Protocol

PORT: Final = 1720

_CHANNEL: Final = 1


@contextmanager
def session(client: Station, server: Station, family: Family, port: int) -> Iterator[Session]:
    """Have a signalling connection from *client* to *port* of *server*.

    Raises: OSError if it cannot be had.
    """
    with ExitStack() as stack:
        address = server.address(family)
        door = stack.enter_context(sockets.listening(server, address, port))
        caller = stack.enter_context(sockets.connected(client, address, port))
        callee = stack.enter_context(sockets.accepted(door))
        for each in (caller, callee):
            each.settimeout(REPLY_S)
        yield Signalling(client, server, family, caller, callee)


@dataclass(slots=True)
class Signalling:
    """A caller and a callee, each at its end of a signalling connection.

    Shape: *calls* counts them, and is the reference of the last one.
    """

    client: Station
    server: Station
    family: Family
    caller: socket.socket
    callee: socket.socket
    calls: int = 0

    def exchange(self) -> str:
        """Call, open channels, and let the callee send RTP to the caller.

        Raises: ExchangeFailed.
        """
        address = self.server.address(self.family)
        with sockets.listening(self.server, address) as door, self._call(door) as told:
            connecting = partial(sockets.connected, self.client, *told.name, PATIENCE_S)
            with (
                sockets.tried(f"the H.245 connection to {told}", connecting) as caller,
                sockets.accepted(door) as callee,
            ):
                return f"{self._speak(caller, callee)}, after H.245 at {told}"

    def alive(self) -> bool:
        """Whether the callee answers a STATUS ENQUIRY on the signalling connection."""
        return sockets.holds(self._enquire)

    def _enquire(self) -> None:
        self._tell(self.caller, self.callee, MessageType.STATUS_ENQUIRY)
        self._tell(self.callee, self.caller, MessageType.STATUS)

    @contextmanager
    def _call(self, door: socket.socket) -> Iterator[Endpoint]:
        """Have a call; it is where the caller was told to connect to for H.245."""
        self.calls += 1
        call = secrets.token_bytes(16)
        told = sockets.tried("the call", partial(self._set_up, call, door))
        try:
            yield told
        finally:
            sockets.tried("hanging up", partial(self._hang_up, call))

    def _set_up(self, call: bytes, door: socket.socket) -> Endpoint:
        setup = signalling.setup(call, Endpoint.own(self.caller))
        connect = signalling.connect(call, Endpoint.own(door))
        self._tell(self.caller, self.callee, MessageType.SETUP, setup)
        _, told = self._tell(self.callee, self.caller, MessageType.CONNECT, connect)
        return h225.endpoint(told["h245Address"])

    def _hang_up(self, call: bytes) -> None:
        end = signalling.release_complete(call)
        self._tell(self.caller, self.callee, MessageType.RELEASE_COMPLETE, end)

    def _tell(
        self, source: socket.socket, sink: socket.socket, kind: MessageType, body: Any = None
    ) -> Any:
        """Send a message, and return its body as it arrived."""
        reference = self.calls if source is self.caller else self.calls | FROM_CALLED
        tpkt.send(source, Message(kind, reference, body).encode())
        return Message.decode(tpkt.receive(sink)).body

    def _speak(self, caller: socket.socket, callee: socket.socket) -> str:
        with (
            rtp.media(self.client, self.family) as ear,
            rtp.media(self.server, self.family) as mouth,
        ):
            opening = partial(_open_channel, callee, caller, *map(Endpoint.own, (mouth, ear)))
            told = sockets.tried("the logical channel", opening)
            way = f"RTP to {told}, as the callee was told"
            arrived = sockets.tried(way, partial(rtp.deliver, mouth, told, ear))
        return f"{arrived}, as the callee was told {told}"


def _open_channel(
    sender: socket.socket, receiver: socket.socket, source: Endpoint, sink: Endpoint
) -> Endpoint:
    """Agree over H.245 that RTP goes from *source* to *sink*; return where *sender* was told."""
    tpkt.send(sender, h245.encode(h245.open_channel(_CHANNEL, _rtcp(source))))
    request = h245.decode(tpkt.receive(receiver))
    tpkt.send(receiver, h245.encode(h245.acknowledge(request, sink, _rtcp(sink))))
    return h245.acknowledged(h245.decode(tpkt.receive(sender)))


def _rtcp(rtp_end: Endpoint) -> Endpoint:
    return rtp_end._replace(port=rtp_end.port + 1)


@contextmanager
def _open(family: Family, net: Topology) -> Iterator[Session]:
    with session(net.client, net.server, family, PORT) as opened:
        yield opened


def _case(family: Family) -> Case:
    return Case(
        name=f"Q.931 and H.245, {'IPv4 NAT' if family is Family.IPV4 else 'IPv6'}",
        helper="Q.931",
        l4=Protocol.TCP,
        port=PORT,
        family=family,
        software="own exchange",
        open=partial(_open, family),
    )


CASES: Final = tuple(map(_case, Family))
