"""Batches: all or nothing, who is told what, and when a generation begins."""

import errno

import pytest

from tests.testing import raw
from tests.testing.contract.peer import (
    World,
    acknowledged,
    del_elements,
    errors,
    generations,
    new_chain,
    new_elements,
    new_map,
    new_object,
    new_rule,
    new_table,
    planted,
)
from tests.testing.raw import ACK, CREATE, batch, element, key, nft


def test_the_generation_names_who_asks(world: World) -> None:
    """GETGEN tells the number, and the asking process: never the one that committed."""
    one, other = world.connect(), world.connect()
    one.do(new_table())
    (answer,) = other.ask(nft(raw.GETGEN, b"", seq=5, family=0))
    assert (answer.op, answer.seq, answer.portid) == (raw.NEWGEN, 5, other.portid)
    assert answer.number(2) == world.pid
    assert answer.res_id == answer.number(1) & 0xFFFF


def test_every_message_may_be_acknowledged(world: World) -> None:
    """BEGIN, each message that asks, then END are acknowledged, in order."""
    answers = world.connect().ask(
        batch(new_table("a", seq=11), nft(raw.NEWTABLE, raw.table("b"), flags=CREATE | ACK, seq=12),
              seq=10, ack=True)
    )  # fmt: skip
    assert acknowledged(answers) == [10, 12, 1010]
    assert errors(answers) == []


def test_silence_is_success(world: World) -> None:
    """A batch that asks for no acknowledgement gets no answer."""
    peer = world.connect()
    assert peer.commit(new_table()) == []
    assert peer.get(raw.GETTABLE, raw.table("t")).name(1) == "t"


def test_a_failing_batch_does_nothing_and_names_each_failure(world: World) -> None:
    """Each failing message gets its own error, in order, and nothing at all is applied."""
    peer = world.connect()
    with generations(peer, begun=0):
        answers = peer.commit(
            new_table("a", seq=11),
            nft(raw.DELTABLE, raw.table("no"), seq=12),
            nft(raw.NEWTABLE, raw.table("b"), flags=CREATE, seq=13),
            nft(raw.NEWCHAIN, raw.chain("none", "c"), flags=CREATE, seq=14),
        )
    assert errors(answers) == [(12, "ENOENT"), (14, "ENOENT")]
    assert peer.dump(raw.GETTABLE) == []


def test_a_failing_batch_acknowledges_what_could_have_been_done(world: World) -> None:
    """An acknowledgement says nothing of the batch: only that of END does."""
    answers = world.connect().ask(
        batch(
            nft(raw.NEWTABLE, raw.table("a"), flags=CREATE | ACK, seq=11),
            nft(raw.DELTABLE, raw.table("no"), flags=ACK, seq=12),
            nft(raw.NEWTABLE, raw.table("b"), flags=CREATE | ACK, seq=13),
            seq=10,
            ack=True,
        )
    )
    assert acknowledged(answers) == [10, 11, 13]
    assert errors(answers) == [(12, "ENOENT")]


def test_an_error_is_capped_and_points_at_the_attribute(world: World) -> None:
    """An error carries the header of the message and the offset of the attribute to blame."""
    (answer,) = world.connect().commit(nft(raw.DELTABLE, raw.table("no"), seq=12))
    assert answer.flags == raw.CAPPED | raw.ACK_TLVS
    assert answer.offset == 20
    assert answer.raw[4:20][8:12] == (12).to_bytes(4, "little")


def test_what_follows_a_failure_sees_what_went_before(world: World) -> None:
    """Messages after a failing one are tried too; those that build upon it fail as well."""
    peer = planted(world)
    answers = peer.commit(
        nft(raw.NEWOBJ, raw.helper_object("t", "x", "bogus", 6), flags=CREATE, seq=5),
        new_elements(element(key(6, 1), "x"), seq=6),
        new_elements(element(key(6, 2), "ftp"), seq=7),
    )
    assert errors(answers) == [(5, "ENOENT"), (6, "ENOENT")]


def test_a_stale_generation_restarts(world: World) -> None:
    """ERESTART is told for BEGIN alone, whatever else asks to be answered; nothing happens."""
    peer, other = world.connect(), world.connect()
    seen = peer.generation()
    other.do(new_table("other"))
    with generations(peer, begun=0):
        answers = peer.ask(
            batch(
                nft(raw.NEWTABLE, raw.table("t"), flags=CREATE | ACK, seq=11),
                nft(raw.DELTABLE, raw.table("no"), seq=12),
                genid=seen,
                seq=10,
                ack=True,
            )
        )
    assert errors(answers) == [(10, "ERESTART")]
    assert acknowledged(answers) == []
    assert [each.name(1) for each in peer.dump(raw.GETTABLE)] == ["other"]


def test_the_current_generation_commits(world: World) -> None:
    """A batch that was planned from what is so now succeeds."""
    peer = world.connect()
    with generations(peer, begun=1):
        assert peer.commit(new_table(), genid=peer.generation()) == []


def test_generation_zero_is_no_check(world: World) -> None:
    """Generation 0 never exists: a batch that names it is not checked."""
    assert world.connect().commit(new_table(), genid=0) == []


def test_a_short_generation_is_refused(world: World) -> None:
    """The generation has four bytes."""
    begin = raw.message(raw.BATCH_BEGIN, 0, 3, 0, raw.attr(1, b"\0\1"), raw.NFTABLES)
    end = raw.message(raw.BATCH_END, 0, 3, 0, b"", raw.NFTABLES)
    assert errors(world.connect().ask(begin + new_table() + end)) == [(3, "ERANGE")]


def test_a_batch_without_an_end_does_nothing(world: World) -> None:
    """A cut batch is thrown away without an error, though its messages are acknowledged."""
    peer = world.connect()
    whole = batch(nft(raw.NEWTABLE, raw.table("t"), flags=CREATE | ACK, seq=11))
    with generations(peer, begun=0):
        answers = peer.ask(whole[:-20])
    assert (acknowledged(answers), errors(answers)) == ([11], [])
    assert peer.dump(raw.GETTABLE) == []


def test_a_batch_that_begins_twice_does_nothing(world: World) -> None:
    """A second BEGIN throws the batch away, in silence."""
    peer = world.connect()
    begin = raw.message(raw.BATCH_BEGIN, 0, 3, 0, b"", raw.NFTABLES)
    assert peer.ask(begin + new_table() + batch(new_table("u"))) == []
    assert peer.dump(raw.GETTABLE) == []


def test_only_the_first_batch_of_a_datagram_counts(world: World) -> None:
    """What follows END is ignored."""
    peer = world.connect()
    peer.ask(batch(new_table("a")) + batch(new_table("b")))
    assert [each.name(1) for each in peer.dump(raw.GETTABLE)] == ["a"]


def test_an_empty_batch_is_acknowledged(world: World) -> None:
    """Nothing to do is success, and no generation."""
    peer = world.connect()
    with generations(peer, begun=0):
        assert acknowledged(peer.ask(batch(seq=9, ack=True))) == [9, 1009]


def test_changes_need_a_batch(world: World) -> None:
    """A change outside of a batch is EINVAL."""
    assert errors(world.connect().ask(new_table(seq=3))) == [(3, "EINVAL")]


@pytest.mark.parametrize(
    "message",
    [
        nft(raw.GETGEN, b"", seq=3),
        nft(raw.GETTABLE, raw.table("t"), seq=3),
        nft(60, raw.table("t"), seq=3),
        raw.message(raw.CTNETLINK << 8 | 1, 0, 3, raw.IPV4, b""),
    ],
    ids=["generation", "read", "unknown", "other subsystem"],
)
def test_a_batch_holds_changes_only(world: World, message: bytes) -> None:
    """A question, an unknown operation and another subsystem are EINVAL in a batch."""
    assert errors(world.connect().commit(message)) == [(3, "EINVAL")]


def test_a_batch_is_for_one_subsystem_that_exists(world: World) -> None:
    """The BEGIN of a subsystem without batches is EINVAL."""
    begin = raw.message(raw.BATCH_BEGIN, 0, 3, 0, b"", 77)
    end = raw.message(raw.BATCH_END, 0, 4, 0, b"", 77)
    assert errors(world.connect().ask(begin + end)) == [(3, "EINVAL")]


def test_nothing_new_begins_no_generation(world: World) -> None:
    """Re-adding what is there, and flushing or destroying what is not, is success and no change."""
    peer = planted(world)
    peer.do(new_chain(), new_elements(element(key(6, 21), "ftp")))
    for message in (
        new_table(),
        new_table(flags=raw.OWNER | raw.PERSIST),
        new_object("ftp", "ftp"),
        new_elements(element(key(6, 21), "ftp")),
        nft(raw.DELRULE, raw.text(1, "t")),
        nft(26, raw.table("no")),
        nft(30, raw.elements("t", "m", element(key(6, 9)))),
        nft(31, raw.object_name("t", "no")),
    ):
        with generations(peer, begun=0):
            assert peer.commit(message) == []
    peer.do(del_elements())
    with generations(peer, begun=0):
        assert peer.commit(del_elements()) == []


def test_readding_a_chain_or_a_set_begins_a_generation(world: World) -> None:
    """Though nothing changed, the kernel counts an update: do not send them again for nothing."""
    peer = planted(world)
    peer.do(new_chain())
    for message in (new_chain(), new_map()):
        with generations(peer, begun=1):
            assert peer.commit(message) == []


def test_what_comes_and_goes_in_one_batch_begins_a_generation(world: World) -> None:
    """A batch whose effects cancel each other counts."""
    peer = planted(world)
    one = element(key(6, 1), "ftp")
    before = peer.generation()
    peer.do(new_elements(one), del_elements(element(key(6, 1))))
    assert peer.generation() == before + 1
    peer.do(new_table("u"), nft(raw.DELTABLE, raw.table("u")))
    assert peer.generation() == before + 2


def test_a_whole_table_comes_in_one_batch(world: World) -> None:
    """Messages see what those before them made, and make one generation together."""
    peer = world.connect()
    with generations(peer, begun=1):
        peer.do(
            new_table(),
            new_chain(),
            new_object("ftp", "ftp"),
            new_map(),
            new_elements(element(key(6, 21), "ftp")),
            new_rule(),
        )
    assert peer.get(raw.GETTABLE, raw.table("t")).number(3) == 3


def test_order_matters_within_a_batch(world: World) -> None:
    """An element cannot come before its object."""
    peer = world.connect()
    answers = peer.commit(
        new_table(),
        new_map(),
        new_elements(element(key(6, 21), "ftp"), seq=7),
        new_object("ftp", "ftp"),
    )
    assert errors(answers) == [(7, "ENOENT")]


def test_too_many_answers_are_lost(world: World) -> None:
    """Answers beyond the receive buffer are dropped: ENOBUFS first, then the oldest ones."""
    peer = world.connect()
    peer.send(batch(*(nft(raw.DELTABLE, raw.table(f"n{i}"), seq=i) for i in range(1, 1500))))
    with pytest.raises(OSError) as caught:
        peer.transport.receive(wait=False)
    assert caught.value.errno == errno.ENOBUFS
    left = [each.seq for datagram in peer.datagrams() for each in datagram]
    assert left == list(range(1, len(left) + 1))
    assert 100 < len(left) < 1400
    assert peer.generation()


def test_destroying_tolerates_only_the_absence_of_its_target(world: World) -> None:
    """Where the table is missing too, DESTROY of a chain or an element is ENOENT."""
    peer = planted(world)
    assert peer.errno(nft(27, raw.text(1, "t") + raw.text(3, "no"))) == 0
    assert errors(peer.commit(nft(27, raw.text(1, "no") + raw.text(3, "no"), seq=3))) == [
        (3, "ENOENT")
    ]
    missing_map = nft(30, raw.elements("t", "no", element(key(6, 9))), seq=3)
    assert errors(peer.commit(missing_map)) == [(3, "ENOENT")]
