"""A question by broadcast from the router itself, and an answer to it from a single host.

The answer comes from an address that the question did not go to. The router's firewall lets in
what belongs to a flow of its own, and to that it belongs only if a helper expected it. What has
answered once is a flow by itself from then on, so each question is answered by another host.
Source: net/netfilter/nf_conntrack_broadcast.c. It expects answers from the port that the helper is
registered for, to the socket that asked, from anywhere in the network of the address that is asked.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from itertools import count
from typing import Final, Protocol

from ctherd.lab.case import PATIENCE_S, Session
from ctherd.lab.sockets import datagrams, holds, tried
from ctherd.lab.topology import PREFIX_V4, Station

FIRST_HOST: Final = 10
"""The number of the first that is asked for; the next one follows."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a protocol asks and answers.

    Shape: *question* makes one by number, *understood* says in words what an answer is about; it
    raises OSError if it is none. Answers come from *answer_port*.
    """

    question: Callable[[int], bytes]
    understood: Callable[[bytes], str]
    answer_port: int


class Hosts(Protocol):
    """Hosts beside the router, by the number in their address; each answers for its own."""

    def answer(self, number: int, question: bytes, caller: tuple[str, int]) -> None:
        """Let the host of that number answer, unless it does so by itself."""


Neighbours = Callable[[Station, IPv4Network, Dialect], AbstractContextManager[Hosts]]
"""Has hosts in a station, in a network, until the context ends."""


@contextmanager
def session(
    router: Station, neighbour: Station, port: int, dialect: Dialect, neighbours: Neighbours
) -> Iterator[Session]:
    """Have a socket that asks from *router*, and hosts beside it, all of them in *neighbour*.

    Raises: OSError or CtherdError if that is not possible.
    """
    network = IPv4Network(f"{router.v4}/{PREFIX_V4}", strict=False)
    everybody = str(network.broadcast_address), port
    with (
        neighbours(neighbour, network, dialect) as hosts,
        datagrams(neighbour, *everybody, shared=True) as ears,
        datagrams(router, str(router.v4)) as asking,
    ):
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        yield _Asking(dialect, network, everybody, hosts, asking, ears)


@dataclass(slots=True)
class _Asking:
    """A socket of the router that asks everybody; of the hosts, each is asked for once."""

    dialect: Dialect
    network: IPv4Network
    everybody: tuple[str, int]
    hosts: Hosts
    asking: socket.socket
    ears: socket.socket
    numbers: Iterator[int] = field(default_factory=lambda: count(FIRST_HOST))

    def exchange(self) -> str:
        """Ask, and be answered by a host that never answered before."""
        number = next(self.numbers)
        question, caller = self._ask(number)
        self.hosts.answer(number, question, caller)
        host, port = str(self.network[number]), self.dialect.answer_port
        answer = tried(f"{host} heard the question; its answer", partial(self._answer, host, port))
        return f"{self.dialect.understood(answer)}, said {host}, port {port}"

    def _ask(self, number: int) -> tuple[bytes, tuple[str, int]]:
        """Ask everybody; return what was heard of it, and from whom."""
        asked = self.dialect.question(number)
        self.asking.sendto(asked, self.everybody)
        while True:
            heard, caller = self.ears.recvfrom(2048)
            if heard == asked:
                return heard, caller

    def _answer(self, host: str, port: int) -> bytes:
        """Wait for what that host says."""
        give_up_s = time.monotonic() + PATIENCE_S
        while (left_s := give_up_s - time.monotonic()) > 0:
            self.asking.settimeout(left_s)
            answer, speaker = self.asking.recvfrom(2048)
            # nmbd says everything twice, so another one may still repeat what it said before.
            if speaker == (host, port):
                return answer
        raise TimeoutError("timed out")

    def alive(self) -> bool:
        """Tell whether a question is still heard. Nobody has the name that it asks for."""
        return holds(lambda: self._ask(0))


Answer = Callable[[bytes, IPv4Address], bytes]
"""Returns what a host of that address says to a question."""


def own_hosts(answer: Answer) -> Neighbours:
    """Return how to have hosts of our own, which say what *answer* says."""

    @contextmanager
    def neighbours(
        station: Station, network: IPv4Network, dialect: Dialect
    ) -> Iterator["_OwnHosts"]:
        yield _OwnHosts(station, network, dialect.answer_port, answer)

    return neighbours


@dataclass(frozen=True, slots=True)
class _OwnHosts:
    """As many hosts as are asked for: each an address of a station, and what it says."""

    station: Station
    network: IPv4Network
    port: int
    says: Answer

    def answer(self, number: int, question: bytes, caller: tuple[str, int]) -> None:
        """Answer from the address of that number."""
        host = self.network[number]
        # Not on the link: this way it does not matter what that is called.
        self.station.run(["ip", "address", "replace", f"{host}/32", "dev", "lo"])
        with datagrams(self.station, str(host), self.port, shared=True) as mouth:
            mouth.sendto(self.says(question, host), caller)
