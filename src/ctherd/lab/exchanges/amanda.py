"""Amanda: a backup server behind the router asks a host to be saved, and fetches it over TCP.

The host answers over UDP with three ports: for the data, for messages, for the index. The helper
reads them and expects three connections; it opens the way from inside for what it read outside.
Both ends are ours, as Debian's Amanda brings a mail server and inetd along.
Source: Amanda's common-src/packet.c (requests and answers); net/netfilter/nf_conntrack_amanda.c,
which reads the answer, and net/netfilter/nf_nat_amanda.c.
"""

import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from itertools import count
from typing import Final

from ctherd.lab.case import PATIENCE_S, Case, Session
from ctherd.lab.sockets import (
    accepted,
    connected,
    datagrams,
    exactly,
    holds,
    listening,
    tried,
)
from ctherd.lab.topology import Station, Topology
from ctherd.model.catalog import Family, Protocol

PORT: Final = 10080

_STREAMS: Final = ("DATA", "MESG", "INDEX")
_SIZE: Final = 10_000


@contextmanager
def session(client: Station, server: Station, family: Family, port: int) -> Iterator[Session]:
    """Have a backup server at *client*, and the host that it saves at *server*.

    Raises: OSError if that is not possible.
    """
    address = server.address(family)
    with (
        datagrams(server, address, port) as host,
        datagrams(client, client.address(family)) as backup,
    ):
        backup.connect((address, port))
        yield _Backup(client, server, address, backup, host)


class _Backup:
    """A backup server and a host, each with a socket for requests and answers."""

    def __init__(
        self,
        client: Station,
        server: Station,
        address: str,
        backup: socket.socket,
        host: socket.socket,
    ) -> None:
        self._client, self._server, self._address = client, server, address
        self._backup, self._host = backup, host
        self._requests = count(1)

    def exchange(self) -> str:
        """Ask for a backup, and fetch each stream of it from the port that was named."""
        with ExitStack() as stack:
            doors = [stack.enter_context(listening(self._server, self._address)) for _ in _STREAMS]
            for door in doors:
                door.settimeout(PATIENCE_S)
            offered = [door.getsockname()[1] for door in doors]
            streams = zip(_STREAMS, offered, strict=True)
            answer = self._ask("sendbackup", "CONNECT " + " ".join(f"{s} {p}" for s, p in streams))
            ports = _ports(answer)
            for name, door, port in zip(_STREAMS, doors, ports, strict=True):
                tried(f"{name}, port {port}", partial(self._fetch, door, port))
        return f"{_SIZE} bytes each from {self._address}, ports {', '.join(map(str, ports))}"

    def _fetch(self, door: socket.socket, port: int) -> None:
        content = secrets.token_bytes(_SIZE)
        with (
            connected(self._client, self._address, port, PATIENCE_S) as stream,
            accepted(door) as sender,
        ):
            sender.sendall(content)
            if exactly(stream, _SIZE) != content:
                raise OSError("what came is not what was sent")

    def alive(self) -> bool:
        """Tell whether the host answers a request that opens nothing."""
        return holds(lambda: self._ask("noop", "OPTIONS ;"))

    def _ask(self, service: str, answer: str) -> str:
        """Ask for a service, and be answered with the lines of *answer*, as they come through."""
        handle = f"HANDLE 000-{next(self._requests):08X} SEQ 1"
        self._backup.send(f"Amanda 2.6 REQ {handle}\nSERVICE {service}\n".encode())
        _, caller = self._host.recvfrom(2048)
        self._host.sendto(f"Amanda 2.6 ACK {handle}\n".encode(), caller)
        self._host.sendto(f"Amanda 2.6 REP {handle}\n{answer}\n".encode(), caller)
        self._backup.recv(2048)
        reply = self._backup.recv(2048).decode()
        self._backup.send(f"Amanda 2.6 ACK {handle}\n".encode())
        self._host.recv(2048)
        head, _, rest = reply.partition("\n")
        if head != f"Amanda 2.6 REP {handle}":
            raise OSError(f"{head!r} came, where the answer to {handle} was due")
        return rest


def _ports(answer: str) -> Sequence[int]:
    line = next(line for line in answer.splitlines() if line.startswith("CONNECT "))
    return [int(word) for word in line.split() if word.isdecimal()]


def _case(name: str, family: Family) -> Case:
    def opened(net: Topology) -> AbstractContextManager[Session]:
        return session(net.client, net.server, family, PORT)

    return Case(name, "amanda", Protocol.UDP, PORT, family, "own exchange", opened)


CASES: Final = (_case("amanda, IPv4", Family.IPV4), _case("amanda, IPv6", Family.IPV6))
