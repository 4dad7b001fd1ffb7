"""A process that talks to a kernel, whichever, in bytes; and the world it lives in."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ctherd.netlink.transport import Transport
from tests.testing import raw
from tests.testing.raw import Answer


class World(Protocol):
    """A fresh netns of some kernel."""

    @property
    def pid(self) -> int:
        """The process that the peers belong to."""

    def connect(self) -> "Peer":
        """Open one more socket there."""


class Peer:
    """One netlink socket."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    @property
    def portid(self) -> int:
        return self.transport.portid

    def close(self) -> None:
        self.transport.close()

    def send(self, datagram: bytes) -> None:
        self.transport.send(datagram)

    def datagrams(self) -> Iterator[list[Answer]]:
        """Yield what is queued, and what the kernel adds while we read."""
        while True:
            try:
                received = bytes(self.transport.receive(wait=False))
            except BlockingIOError:
                return
            yield list(raw.answers(received))

    def ask(self, datagram: bytes) -> list[Answer]:
        """Send one datagram and return every answer."""
        self.send(datagram)
        return [answer for datagram in self.datagrams() for answer in datagram]

    def commit(self, *messages: bytes, genid: int | None = None) -> list[Answer]:
        """Send one batch and return every answer."""
        return self.ask(raw.batch(*messages, genid=genid))

    def errno(self, *messages: bytes) -> int:
        """Send one batch and return the errno of its only error, or 0 if there is none."""
        answers = self.commit(*messages)
        assert len(answers) <= 1, answers
        return answers[0].errno or 0 if answers else 0

    def do(self, *messages: bytes) -> None:
        """Send one batch, which must succeed."""
        assert errors(self.commit(*messages)) == []

    def generation(self) -> int:
        (answer,) = self.ask(raw.nft(raw.GETGEN, b"", family=0))
        return answer.number(1)

    def get(self, op: int, body: bytes, family: int = raw.INET) -> Answer:
        """Return the one thing that *body* names."""
        (answer,) = self.ask(raw.nft(op, body, family=family))
        assert answer.errno is None, answer
        return answer

    def dump(self, op: int, body: bytes = b"", family: int = raw.INET) -> list[Answer]:
        """Return what a dump lists, without its end."""
        *listed, end = self.ask(raw.nft(op, body, flags=raw.DUMP, family=family))
        assert end.kind == raw.DONE, end
        return listed

    def elements(self, table: str, name: str) -> dict[tuple[bytes, bytes | None], str]:
        """Return (key, end) → object of every element."""
        found: dict[tuple[bytes, bytes | None], str] = {}
        for answer in self.dump(raw.GETELEM, raw.elements(table, name)):
            for _, packed in raw.attribute_list(answer.attributes[3]):
                inner = raw.attributes(packed)
                end = raw.attributes(inner[10])[1] if 10 in inner else None
                found[raw.attributes(inner[1])[1], end] = inner[9].rstrip(b"\0").decode()
        return found


def errors(answers: list[Answer]) -> list[tuple[int, str]]:
    """Return (sequence number, name of the errno) of every error."""
    return [(each.seq, errno.errorcode[each.errno]) for each in answers if each.errno]


def acknowledged(answers: list[Answer]) -> list[int]:
    """Return the sequence numbers of the acknowledgements, in order."""
    return [each.seq for each in answers if each.errno == 0]


@contextmanager
def generations(peer: Peer, *, begun: int) -> Iterator[None]:
    """Demand that the body begins exactly so many generations."""
    before = peer.generation()
    yield
    assert peer.generation() - before == begun


def new_table(name: str = "t", flags: int | None = None, **more: int) -> bytes:
    """Ask for a table."""
    return raw.nft(raw.NEWTABLE, raw.table(name, flags), flags=raw.CREATE, **more)


def new_object(name: str, helper: str, l4: int = 6, table: str = "t") -> bytes:
    """Ask for a ct helper object."""
    return raw.nft(raw.NEWOBJ, raw.helper_object(table, name, helper, l4), flags=raw.CREATE)


def new_map(name: str = "m", table: str = "t") -> bytes:
    """Ask for a map ``l4proto . dport`` to ct helper objects."""
    return raw.nft(raw.NEWSET, raw.object_map(table, name), flags=raw.CREATE)


def new_elements(*packed: bytes, name: str = "m", table: str = "t", seq: int = 1) -> bytes:
    """Ask for elements."""
    return raw.nft(raw.NEWELEM, raw.elements(table, name, *packed), flags=raw.CREATE, seq=seq)


def del_elements(*packed: bytes, name: str = "m", table: str = "t", seq: int = 1) -> bytes:
    """Ask for the end of elements."""
    return raw.nft(raw.DELELEM, raw.elements(table, name, *packed), seq=seq)


def new_chain(name: str = "pre", hook: int | None = raw.PREROUTING, table: str = "t") -> bytes:
    """Ask for a chain."""
    return raw.nft(raw.NEWCHAIN, raw.chain(table, name, hook), flags=raw.CREATE)


def new_rule(chain: str = "pre", name: str = "m", userdata: bytes | None = None) -> bytes:
    """Ask for a rule that looks up the map, at the end of the chain."""
    body = raw.lookup_rule("t", chain, name, userdata=userdata)
    return raw.nft(raw.NEWRULE, body, flags=raw.CREATE | raw.APPEND)


def planted(world: World, flags: int = raw.OWNER | raw.PERSIST) -> Peer:
    """Return a peer that has made table ``t`` with objects ftp and irc and an empty map ``m``."""
    peer = world.connect()
    peer.do(new_table(flags=flags), new_object("ftp", "ftp"), new_object("irc", "irc"), new_map())
    return peer
