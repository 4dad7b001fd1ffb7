"""Dumps: datagrams, their end, and what is told if the ruleset moves in between."""

import errno

from tests.testing import raw
from tests.testing.contract.peer import World, errors, new_elements, new_table, planted
from tests.testing.raw import CREATE, DUMP, MULTI, element, key, nft

INTERRUPTED = 0x10


def many_chains(count: int) -> bytes:
    """Ask for so many chains, each 80 bytes in a dump."""
    names = (f"chain-with-long-name-{number:04d}" for number in range(count))
    return b"".join(nft(raw.NEWCHAIN, raw.chain("t", name), flags=CREATE) for name in names)


def test_an_empty_dump_is_its_end(world: World) -> None:
    """DONE alone, with MULTI and the question's number."""
    peer = world.connect()
    (answer,) = peer.ask(nft(raw.GETOBJ, b"", flags=DUMP, seq=9))
    assert (answer.kind, answer.flags, answer.seq) == (raw.DONE, MULTI, 9)


def test_a_dump_is_not_acknowledged(world: World) -> None:
    """DONE is all, even if ACK was asked for."""
    peer = world.connect()
    answers = peer.ask(nft(raw.GETTABLE, b"", flags=DUMP | raw.ACK, seq=9))
    assert [each.kind for each in answers] == [raw.DONE]


def test_the_end_has_its_own_datagram(world: World) -> None:
    """DONE comes after everything, not in the same datagram."""
    peer = planted(world)
    peer.send(nft(raw.GETOBJ, b"", flags=DUMP, seq=9))
    assert [len(datagram) for datagram in peer.datagrams()] == [2, 1]


def test_dumped_messages_say_that_more_comes(world: World) -> None:
    """Each carries MULTI and the generation; of rules and objects, APPEND too."""
    peer = planted(world)
    generation = peer.generation()
    for answer in peer.dump(raw.GETOBJ):
        assert answer.flags == MULTI | raw.APPEND
        assert answer.res_id == generation & 0xFFFF
    assert [each.flags for each in peer.dump(raw.GETTABLE)] == [MULTI]


def test_a_large_dump_comes_in_several_datagrams(world: World) -> None:
    """A page at first, up to 32 KiB later; the parts make a whole."""
    peer = world.connect()
    peer.do(new_table(), many_chains(900))
    fresh = world.connect()
    fresh.send(nft(raw.GETCHAIN, b"", flags=DUMP, seq=9))
    parts = list(fresh.datagrams())
    assert [len(part) for part in parts] == [47, 405, 405, 43, 1]
    names = [answer.name(3) for part in parts[:-1] for answer in part]
    assert len(set(names)) == 900


def test_elements_share_messages(world: World) -> None:
    """Elements fill a message a datagram; an empty message ends the list, with DONE behind it."""
    peer = planted(world)
    for start in (1, 1001):
        ports = range(start, start + 1000)
        peer.do(new_elements(*(element(key(6, port), "ftp") for port in ports)))
    peer.send(nft(raw.GETELEM, raw.elements("t", "m"), flags=DUMP, seq=9))
    *parts, last = peer.datagrams()
    assert [len(part) for part in parts] == [1] * len(parts)
    assert len(parts) > 1
    assert [each.kind for each in last] == [raw.NFTABLES << 8 | raw.NEWELEM, raw.DONE]
    assert last[0].attributes[3] == b""
    assert len(peer.elements("t", "m")) == 2000


def test_a_dump_that_was_overtaken_says_so_once(world: World) -> None:
    """Only the first message after the move is marked: every one must be looked at."""
    peer, other = world.connect(), world.connect()
    peer.do(new_table(), many_chains(900))
    fresh = world.connect()
    fresh.send(nft(raw.GETCHAIN, b"", flags=DUMP, seq=9))
    parts = []
    for part in fresh.datagrams():
        parts.append(part)
        if len(parts) == 1:
            other.do(new_table("other"))
    marked = [each for part in parts for each in part if each.flags & INTERRUPTED]
    assert len(marked) == 1
    assert marked[0].kind != raw.DONE
    assert marked[0].res_id == other.generation() & 0xFFFF


def test_a_socket_dumps_one_thing_at_a_time(world: World) -> None:
    """A second dump is EBUSY until the first was read; other questions are answered."""
    peer = planted(world)
    peer.send(nft(raw.GETOBJ, b"", flags=DUMP, seq=9))
    peer.send(nft(raw.GETOBJ, b"", flags=DUMP, seq=10))
    peer.send(nft(raw.GETGEN, b"", seq=11, family=0))
    answers = [each for part in peer.datagrams() for each in part]
    assert [each.seq for each in answers] == [9, 9, 10, 11, 9]
    assert errors(answers) == [(10, errno.errorcode[errno.EBUSY])]


def test_two_questions_may_share_a_datagram(world: World) -> None:
    """Outside of batches each message is answered by itself."""
    peer = planted(world)
    answers = peer.ask(nft(raw.GETGEN, b"", seq=1) + nft(raw.GETTABLE, raw.table("t"), seq=2))
    assert [(each.seq, each.op) for each in answers] == [(1, raw.NEWGEN), (2, raw.NEWTABLE)]


def test_a_question_may_be_acknowledged(world: World) -> None:
    """The answer first, then the acknowledgement."""
    answers = world.connect().ask(nft(raw.GETGEN, b"", seq=5, flags=raw.ACK))
    assert [each.errno for each in answers] == [None, 0]


def test_an_unknown_subsystem_is_refused(world: World) -> None:
    """EINVAL."""
    answers = world.connect().ask(raw.message(55 << 8, 0, 3, raw.IPV4, b""))
    assert errors(answers) == [(3, "EINVAL")]
