"""PPTP: a client behind the router calls a server, and both send enhanced GRE in that call.

Each end names the call by a number of its own, and GRE to it bears that number. The helper rewrites
the client's, so that the server sees one that is unique on the router's address, and expects GRE
in both directions. Without it the router knows no such flow. Both ends are ours, as pptpd and its
client need PPP in the kernel. They speak control messages over TCP as a PPTP network server (PNS)
and access concentrator (PAC) do, and GRE over raw sockets.
Source: RFC 2637, sections 2.1, 2.2 (start), 2.5, 2.6 (echo), 2.7, 2.8 (outgoing call), 2.12, 2.13
(clear), 4.1 (enhanced GRE).
"""

import secrets
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from ctherd.lab.case import PATIENCE_S, Case, ExchangeFailed, Session
from ctherd.lab.sockets import accepted, connected, exactly, holds, listening, raw, tried
from ctherd.lab.topology import Station, Topology
from ctherd.model.catalog import Family, Protocol

PORT: Final = 1723

_MAGIC: Final = 0x1A2B3C4D
_HEADER: Final = struct.Struct("!HHIHH")  # length, message type, magic, control message, reserved
_START_REQUEST, _START_REPLY, _ECHO_REQUEST, _ECHO_REPLY = 1, 2, 5, 6
_CALL_REQUEST, _CALL_REPLY, _CLEAR_REQUEST, _DISCONNECT_NOTIFY = 7, 8, 12, 13

_START: Final = struct.Struct("!HHIIHH64s64s")
_CALL: Final = struct.Struct("!HHIIIIHHHH64s64s")
_CALL_ANSWER: Final = struct.Struct("!HHBBHIHHI")
_CONNECTED: Final = 1

_IPPROTO_GRE: Final = socket.IPPROTO_GRE
_GRE: Final = struct.Struct("!HHHHI")  # flags and version, protocol, length, call id, sequence
_KEY_SEQUENCE_VERSION_1: Final = 0x3001
_PPP: Final = 0x880B


@contextmanager
def session(client: Station, server: Station, port: int) -> Iterator["Calls"]:
    """Connect *client* to *server*, at *port*, and start the control connection.

    Raises: OSError if that is not possible.
    """
    with (
        listening(server, str(server.v4), port) as door,
        connected(client, str(server.v4), port) as from_client,
        accepted(door) as from_server,
        raw(client, _IPPROTO_GRE) as gre_of_client,
        raw(server, _IPPROTO_GRE) as gre_of_server,
    ):
        pns, pac = _End(from_client, gre_of_client), _End(from_server, gre_of_server)
        started = _START.pack(0x0100, 0, 3, 3, 1, 1, b"ctherd", b"ctherd")
        pns.say(_START_REQUEST, started)
        pac.hear(_START_REQUEST)
        # The reply has a result, 1 for success, where the request has a reserved field.
        pac.say(_START_REPLY, started[:2] + b"\1\0" + started[4:])
        pns.hear(_START_REPLY)
        yield Calls(pns, pac)


class _End:
    """One end: its control connection, and the socket for its GRE."""

    def __init__(self, control: socket.socket, gre: socket.socket) -> None:
        self._control, self._gre = control, gre

    @property
    def peer(self) -> str:
        """The address that the other end has, as seen from here."""
        return str(self._control.getpeername()[0])

    def say(self, kind: int, body: bytes) -> None:
        self._control.sendall(_HEADER.pack(_HEADER.size + len(body), 1, _MAGIC, kind, 0) + body)

    def hear(self, kind: int) -> bytes:
        """Return the body of the next message, which must be of that kind."""
        size, _, _, said, _ = _HEADER.unpack(exactly(self._control, _HEADER.size))
        body = exactly(self._control, size - _HEADER.size)
        if said != kind:
            raise OSError(f"control message {said} came, where {kind} was due")
        return body

    def send(self, call: int, payload: bytes) -> None:
        """Send GRE to the other end, in its call of that number."""
        header = _GRE.pack(_KEY_SEQUENCE_VERSION_1, _PPP, len(payload), call, 0)
        self._gre.sendto(header + payload, (self.peer, 0))

    def receive(self, call: int, payload: bytes) -> None:
        """Wait for that *payload* in our call of that number."""
        give_up_s = time.monotonic() + PATIENCE_S
        while (left_s := give_up_s - time.monotonic()) > 0:
            self._gre.settimeout(left_s)
            packet = self._gre.recv(2048)
            gre = packet[(packet[0] & 0xF) * 4 :]
            # What belongs to other calls may still be on its way.
            if gre[_GRE.size :] == payload and _GRE.unpack_from(gre)[3] == call:
                return
        raise TimeoutError("timed out")


class Calls:
    """A control connection over which the client can call, again and again."""

    def __init__(self, pns: _End, pac: _End) -> None:
        self._pns, self._pac = pns, pac
        # Each call has numbers of its own, so that nothing of an earlier one lets it through.
        self._numbers = count(secrets.randbelow(0x4000) + 1)

    def exchange(self) -> str:
        """Call, send GRE both ways, and hang up."""
        with self.call() as call:
            return call.talk()

    @contextmanager
    def call(self) -> Iterator["Call"]:
        """Have a call, until the context ends."""
        pns, pac = self._pns, self._pac
        ours, theirs = next(self._numbers), next(self._numbers) | 0x8000
        pns.say(_CALL_REQUEST, _CALL.pack(ours, 1, 300, 100_000_000, 3, 3, 64, 0, 0, 0, b"", b""))
        seen, *_ = _CALL.unpack(pac.hear(_CALL_REQUEST))
        pac.say(_CALL_REPLY, _CALL_ANSWER.pack(theirs, seen, _CONNECTED, 0, 0, 64_000, 64, 0, 0))
        _, answered, *_ = _CALL_ANSWER.unpack(pns.hear(_CALL_REPLY))
        if answered != ours:
            raise ExchangeFailed(f"call {ours} was answered as {answered}")
        try:
            yield Call(pns, pac, ours, theirs, seen)
        finally:
            self._hang_up(ours, seen)

    def _hang_up(self, ours: int, seen: int) -> None:
        self._pns.say(_CLEAR_REQUEST, struct.pack("!HH", ours, 0))
        self._pac.hear(_CLEAR_REQUEST)
        notify = struct.pack("!HBBHH128s", seen, 1, 0, 0, 0, b"")
        self._pac.say(_DISCONNECT_NOTIFY, notify)
        self._pns.hear(_DISCONNECT_NOTIFY)

    def alive(self) -> bool:
        """Tell whether the server still answers an echo request."""
        return holds(self._echo)

    def _echo(self) -> None:
        self._pns.say(_ECHO_REQUEST, struct.pack("!I", 1))
        identifier = self._pac.hear(_ECHO_REQUEST)
        self._pac.say(_ECHO_REPLY, identifier + struct.pack("!BBH", 1, 0, 0))
        self._pns.hear(_ECHO_REPLY)


@dataclass(frozen=True, slots=True)
class Call:
    """A call: the client's number of it and the server's, and what the server saw as the first."""

    pns: _End
    pac: _End
    ours: int
    theirs: int
    seen: int

    def talk(self) -> str:
        """Send GRE both ways.

        Raises: ExchangeFailed if it does not arrive.
        """
        there, back = secrets.token_bytes(64), secrets.token_bytes(64)
        self.pns.send(self.theirs, there)
        tried(f"{self}: GRE to the server", lambda: self.pac.receive(self.theirs, there))
        self.pac.send(self.seen, back)
        tried(f"{self}: GRE to the client", lambda: self.pns.receive(self.ours, back))
        return f"GRE both ways in {self}"

    def __str__(self) -> str:
        return f"call {self.ours}, which the server saw as {self.seen}"


def _open(net: Topology) -> AbstractContextManager[Session]:
    return session(net.client, net.server, PORT)


CASES: Final = (Case("pptp, IPv4", "pptp", Protocol.TCP, PORT, Family.IPV4, "own exchange", _open),)
