"""A call of H.323 on a signalling connection that is there, until RTP reaches who is to hear it.

Each step passes because the one before announced it: who was called says in Connect where it takes
the H.245 connection; over that a logical channel is opened, and the hearer answers where it takes
RTP. Under NAT the helpers rewrite what is said from the inside.

Left out of what terminals say: H.245 master/slave determination and capability exchange, which no
helper reads.
Source: H.323 §8 (call signalling procedures), H.225.0 §7.3, H.245 §C.4 (logical channels).
"""

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ctherd.lab import sockets
from ctherd.lab.case import PATIENCE_S
from ctherd.lab.endpoint import Endpoint
from ctherd.lab.exchanges import rtp
from ctherd.lab.h323 import h225, h245, signalling, tpkt
from ctherd.lab.h323.q931 import FROM_CALLED, Message, MessageType
from ctherd.lab.topology import Station
from ctherd.model.catalog import Family

_CHANNEL: Final = 1


@dataclass(frozen=True, slots=True)
class Party:
    """One who takes part: where, and with which end of the signalling connection."""

    station: Station
    line: socket.socket


@dataclass(frozen=True, slots=True)
class Call:
    """A call, which *reference* names on the signalling connection; *hearer* is one of the two."""

    caller: Party
    callee: Party
    hearer: Party
    family: Family
    reference: int

    def hold(self) -> str:
        """Set up the call, open a channel, let RTP reach the hearer, and hang up.

        Raises: ExchangeFailed.
        """
        address = self.callee.station.address(self.family)
        with sockets.listening(self.callee.station, address) as door, self._up(door) as told:
            connecting = partial(sockets.connected, self.caller.station, *told.name, PATIENCE_S)
            with (
                sockets.tried(f"the H.245 connection to {told}", connecting) as caller,
                sockets.accepted(door) as callee,
            ):
                ends = {self.caller: caller, self.callee: callee}
                spoken = self._speak(ends[self._speaker], ends[self.hearer])
                return f"{spoken}, after H.245 to {told}"

    def status(self) -> None:
        """Ask the callee how the call is, and be answered.

        Raises: OSError if nobody answers.
        """
        self._tell(self.caller, MessageType.STATUS_ENQUIRY)
        self._tell(self.callee, MessageType.STATUS)

    @contextmanager
    def _up(self, door: socket.socket) -> Iterator[Endpoint]:
        """Be in a call; it is where the caller was told to connect to for H.245."""
        call = secrets.token_bytes(16)
        told = sockets.tried("the call", partial(self._set_up, call, door))
        try:
            yield told
        finally:
            release = partial(
                self._tell,
                self.caller,
                MessageType.RELEASE_COMPLETE,
                signalling.release_complete(call),
            )
            sockets.tried("hanging up", release)

    def _set_up(self, call: bytes, door: socket.socket) -> Endpoint:
        setup = signalling.setup(call, Endpoint.own(self.caller.line))
        connect = signalling.connect(call, Endpoint.own(door))
        self._tell(self.caller, MessageType.SETUP, setup)
        _, told = self._tell(self.callee, MessageType.CONNECT, connect)
        return h225.endpoint(told["h245Address"])

    def _tell(self, source: Party, kind: MessageType, body: Any = None) -> Any:
        """Send a message to the other party, and return its body as it arrived."""
        calling = source is self.caller
        reference = self.reference if calling else self.reference | FROM_CALLED
        tpkt.send(source.line, Message(kind, reference, body).encode())
        sink = self.callee if calling else self.caller
        return Message.decode(tpkt.receive(sink.line)).body

    @property
    def _speaker(self) -> Party:
        return self.callee if self.hearer is self.caller else self.caller

    def _speak(self, speaker: socket.socket, hearer: socket.socket) -> str:
        """Agree over H.245, of which these are the ends, on RTP, and send it."""
        with (
            rtp.media(self._speaker.station, self.family) as mouth,
            rtp.media(self.hearer.station, self.family) as ear,
        ):
            opening = partial(_open_channel, speaker, hearer, *map(Endpoint.own, (mouth, ear)))
            told = sockets.tried("the logical channel", opening)
            way = f"RTP to {told}, as its sender was told"
            arrived = sockets.tried(way, partial(rtp.deliver, mouth, told, ear))
        return f"{arrived}, as its sender was told {told}"


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
