"""A question by broadcast from the router itself, and an answer to it from a single host.

The answer comes from an address that the question did not go to. The router's firewall lets in
what belongs to a flow of its own, and to that it belongs only if a helper expected it. What has
answered once is a flow by itself from then on, so each question is answered by another host.
Source: net/netfilter/nf_conntrack_broadcast.c. It expects answers from the port that the helper is
registered for, to the socket that asked, from anywhere in the network of the address that is asked.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import count
from typing import Final

from ctherd.lab.case import PATIENCE_S, REPLY_S, Session
from ctherd.lab.sockets import datagrams, holds, tried
from ctherd.lab.topology import PREFIX_V4, Station

_FIRST_HOST: Final = 10


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a protocol asks and answers.

    Shape: *question* makes one by number, *answer* what a host of that address says to it, and
    *understood* says in words what an answer is about; it raises OSError if it is none.
    *answer_port* is the one that answers come from.
    """

    question: Callable[[int], bytes]
    answer: Callable[[bytes, IPv4Address], bytes]
    understood: Callable[[bytes], str]
    answer_port: int


@contextmanager
def session(router: Station, neighbour: Station, port: int, dialect: Dialect) -> Iterator[Session]:
    """Have a socket that asks from *router*, and hosts beside it, all of them in *neighbour*.

    Raises: OSError if that is not possible.
    """
    network = IPv4Network(f"{router.v4}/{PREFIX_V4}", strict=False)
    everybody = str(network.broadcast_address), port
    with (
        datagrams(neighbour, *everybody) as ears,
        datagrams(router, str(router.v4)) as asking,
    ):
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        yield _Asking(neighbour, network, dialect, everybody, asking, ears)


@dataclass(slots=True)
class _Asking:
    """A socket of the router that asks everybody, and hosts of which each answers once."""

    neighbour: Station
    network: IPv4Network
    dialect: Dialect
    everybody: tuple[str, int]
    asking: socket.socket
    ears: socket.socket
    numbers: Iterator[int] = field(default_factory=lambda: count(_FIRST_HOST))

    def exchange(self) -> str:
        """Ask, and be answered by a host that never answered before."""
        number = next(self.numbers)
        host = self.network[number]
        # Not on the link: this way it does not matter what that is called.
        self.neighbour.run(["ip", "address", "replace", f"{host}/32", "dev", "lo"])
        question, caller = self._ask(number)
        port = self.dialect.answer_port
        with datagrams(self.neighbour, str(host), port) as mouth:
            mouth.sendto(self.dialect.answer(question, host), caller)
        answer = tried(f"{host} heard the question and answered", self._answer)
        return f"{self.dialect.understood(answer)} from {host}, port {port}"

    def _ask(self, number: int) -> tuple[bytes, tuple[str, int]]:
        """Ask everybody; return what was heard of it, and from whom."""
        asked = self.dialect.question(number)
        self.asking.sendto(asked, self.everybody)
        while True:
            heard, caller = self.ears.recvfrom(2048)
            if heard == asked:
                return heard, caller

    def _answer(self) -> bytes:
        self.asking.settimeout(PATIENCE_S)
        return self.asking.recv(2048)

    def alive(self) -> bool:
        """Tell whether a question is still heard."""
        self.asking.settimeout(REPLY_S)
        return holds(lambda: self._ask(0))
