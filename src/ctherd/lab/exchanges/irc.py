"""IRC: a client behind the router offers a file by DCC, and its peer outside comes to fetch it.

The offer names the client's own address and a port of it, which nobody outside can reach. The
helper rewrites both in the message, and expects the connection. The server is ngircd, or our own
relay, which knows as much of IRC as two clients need here.
Source: RFC 2812, sections 3.1 (registration), 3.3.1 (PRIVMSG), 3.7 (PING); DCC SEND as in "CTCP",
draft-oakley-irc-ctcp-02, appendix A; net/netfilter/nf_conntrack_irc.c, which reads the offer.
"""

import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, Self

from ctherd.lab.case import PATIENCE_S, Case, Program, Session
from ctherd.lab.exchanges.irc_relay import relay
from ctherd.lab.serving import serving
from ctherd.lab.sockets import accepted, connected, exactly, holds, listening, tried
from ctherd.lab.topology import Station, Topology
from ctherd.model.catalog import Family, Protocol

PORT: Final = 6667

_NGIRCD: Final = Program("ngircd", "ngircd")
_SIZE: Final = 10_000
_INSIDE, _OUTSIDE = "inside", "outside"

_CONFIGURATION: Final = """
[Global]
Name = lab.invalid
Info = ctherd lab
Listen = {address}
Ports = {port}
MotdPhrase = lab
[Options]
DNS = no
Ident = no
PAM = no
"""

Serve = Callable[[Station, int], AbstractContextManager[None]]
"""Serves IRC on the IPv4 address of a station, at a port, until the context ends."""


@contextmanager
def session(client: Station, server: Station, port: int, serve: Serve) -> Iterator[Session]:
    """Serve at *server*, and have one user at *client* and his peer at *server* registered.

    Raises: OSError or CtherdError if that is not possible.
    """
    address = str(server.v4)
    with (
        serve(server, port),
        _User.registered(client, address, port, _INSIDE) as inside,
        _User.registered(server, address, port, _OUTSIDE) as outside,
    ):
        yield _Dcc(client, server, inside, outside)


class _Dcc:
    """Two users of a server, one of whom offers files to the other."""

    def __init__(self, client: Station, peer: Station, inside: "_User", outside: "_User") -> None:
        self._client, self._peer = client, peer
        self._inside, self._outside = inside, outside

    def exchange(self) -> str:
        """Offer a file, and let the peer fetch it from where he was told that it is."""
        with listening(self._client, str(self._client.v4)) as door:
            door.settimeout(PATIENCE_S)
            offered = f"{int(self._client.v4)} {door.getsockname()[1]}"
            self._inside.say(f"PRIVMSG {_OUTSIDE} :\1DCC SEND payload {offered} {_SIZE}\1")
            *_, host, port, _ = self._outside.hear("PRIVMSG").split()
            told = f"{IPv4Address(int(host))}, port {port}"
            fetch = partial(self._fetch, door, str(IPv4Address(int(host))), int(port))
            return f"{tried(f'the peer was told {told}', fetch)} bytes from {told}"

    def _fetch(self, door: socket.socket, host: str, port: int) -> int:
        content = secrets.token_bytes(_SIZE)
        with connected(self._peer, host, port, PATIENCE_S) as data, accepted(door) as sender:
            sender.sendall(content)
            if exactly(data, _SIZE) != content:
                raise OSError("what came is not what was sent")
        return _SIZE

    def alive(self) -> bool:
        """Tell whether the server still answers the client."""
        return holds(self._inside.ping)


class _User:
    """One connection to the server, as a user of that name."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")

    @classmethod
    @contextmanager
    def registered(cls, station: Station, server: str, port: int, nick: str) -> Iterator[Self]:
        with connected(station, server, port) as connection:
            user = cls(connection)
            user.say(f"NICK {nick}")
            user.say(f"USER {nick} 0 * :{nick}")
            user.hear("001")
            yield user

    def say(self, line: str) -> None:
        self._connection.sendall(f"{line}\r\n".encode())

    def hear(self, command: str) -> str:
        """Wait for a message of that kind, and return what follows the command."""
        while line := self._lines.readline().decode():
            # Servers say who speaks before the command; PING alone comes without.
            said, _, rest = line.rstrip().removeprefix(":").partition(" ")
            if said == "PING":
                self.say(f"PONG {rest}")
            elif rest.split(" ", 1)[0] == command:
                return rest.removeprefix(command).strip(" \1")
        raise ConnectionError("the server hung up")

    def ping(self) -> None:
        self.say("PING lab")
        self.hear("PONG")


@contextmanager
def ngircd(server: Station, port: int) -> Iterator[None]:
    """Serve with ngircd."""
    with tempfile.TemporaryDirectory(prefix="ctherd-lab-") as directory:
        path = Path(directory, "ngircd.conf")
        path.write_text(_CONFIGURATION.format(address=server.v4, port=port), encoding="ascii")
        # It reads it as nobody, who it becomes.
        path.parent.chmod(0o755)
        command = [_NGIRCD.path, "--nodaemon", "--config", str(path)]
        with serving(server, command, Protocol.TCP, port):
            yield


def _case(name: str, software: str, serve: Serve, *needs: Program) -> Case:
    def opened(net: Topology) -> AbstractContextManager[Session]:
        return session(net.client, net.server, PORT, serve)

    return Case(name, "irc", Protocol.TCP, PORT, Family.IPV4, software, opened, needs)


CASES: Final = (
    _case("irc DCC SEND, IPv4", "ngircd, own clients", ngircd, _NGIRCD),
    _case("irc DCC SEND, IPv4, own server", "own exchange", relay),
)
