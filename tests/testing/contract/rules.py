"""Rules: where they go, what they may refer to, how they are shown."""

import errno

import pytest

from tests.testing import raw
from tests.testing.contract.peer import (
    Peer,
    World,
    errors,
    new_chain,
    new_map,
    new_object,
    new_rule,
    new_table,
)
from tests.testing.raw import APPEND, CREATE, REPLACE, nft

CHAIN = raw.text(1, "t") + raw.text(2, "pre")


def ruled(world: World) -> Peer:
    """Return a peer that has made a chain ``pre`` and a map ``m``."""
    peer = world.connect()
    peer.do(new_table(), new_object("ftp", "ftp"), new_map(), new_chain(), new_chain("out", 3))
    return peer


def tagged(tag: str, flags: int = CREATE | APPEND, **more: int) -> bytes:
    """Ask for a rule with a tag."""
    body = raw.lookup_rule("t", "pre", "m", userdata=tag.encode(), **more)
    return nft(raw.NEWRULE, body, flags=flags)


def listed(peer: Peer) -> list[tuple[str, int]]:
    """Return (tag, handle) of the rules in the chain, in order."""
    found = peer.dump(raw.GETRULE, CHAIN)
    return [(each.name(7), each.number(3)) for each in found]


def test_a_rule_is_shown_in_canonical_form(world: World) -> None:
    """No ids of sets, no NESTED flags, short register numbers, the kernel's order."""
    peer = ruled(world)
    body = raw.lookup_rule("t", "pre", "m", set_id=5, userdata=b"\0\3ab\0")
    peer.do(
        nft(raw.NEWSET, raw.object_map("t", "m", set_id=5), flags=CREATE),
        nft(raw.NEWRULE, body, flags=CREATE | APPEND),
    )
    (answer,) = peer.dump(raw.GETRULE, CHAIN)
    assert list(answer.attributes) == [1, 2, 3, 4, 7]
    assert answer.attributes[4] == bytes.fromhex(
        "24000100090001006d6574610000000014000200080002000000001008000100000000013400"
        "01000c0001007061796c6f616400240002000800010000000009080002000000000208000300"
        "000000020800040000000002240001000b0001006f626a726566000014000200080003000000"
        "0001060004006d000000"
    )


def test_rules_that_match_a_prefix_are_shown(world: World) -> None:
    """Protocol family and address are compared or loaded as they were given."""
    peer = ruled(world)
    expressions = raw.nest(
        4,
        raw.expression("meta", raw.be32(2, 15), raw.be32(1, 1)),
        raw.expression("cmp", raw.be32(1, 1), raw.be32(2, 0), raw.nest(3, raw.attr(1, b"\2"))),
        raw.expression("payload", raw.be32(1, 12), raw.be32(2, 1), raw.be32(3, 16), raw.be32(4, 4)),
    )
    peer.do(nft(raw.NEWRULE, CHAIN + expressions, flags=CREATE | APPEND))
    (answer,) = peer.dump(raw.GETRULE, CHAIN)
    shown = [raw.attributes(each) for _, each in raw.attribute_list(answer.attributes[4])]
    assert [each[1] for each in shown] == [b"meta\0", b"cmp\0", b"payload\0"]
    assert raw.attributes(shown[2][2])[1] == b"\0\0\0\2"
    assert raw.attributes(raw.attributes(shown[1][2])[3])[1] == b"\2"


def test_rules_go_where_they_are_told(world: World) -> None:
    """APPEND puts at the end, its absence in front; a position puts behind or before another."""
    peer = ruled(world)
    peer.do(tagged("a"), tagged("z"), tagged("front", CREATE))
    first = dict(listed(peer))["a"]
    peer.do(tagged("behind", position=first), tagged("before", CREATE, position=first))
    assert [tag for tag, _ in listed(peer)] == ["front", "before", "a", "behind", "z"]


def test_a_position_is_the_handle_before(world: World) -> None:
    """A dumped rule names its predecessor, the first one nobody."""
    peer = ruled(world)
    peer.do(tagged("a"), tagged("b"))
    first, second = peer.dump(raw.GETRULE, CHAIN)
    assert 6 not in first.attributes
    assert second.number(6) == first.number(3)


def test_a_replaced_rule_keeps_its_handle_and_place(world: World) -> None:
    """REPLACE with a handle changes what is there."""
    peer = ruled(world)
    peer.do(tagged("a"), tagged("b"))
    (_, handle), last = listed(peer)
    peer.do(tagged("new", REPLACE, rule_handle=handle))
    assert listed(peer) == [("new", handle), last]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (tagged("x", position=999), errno.ENOENT),
        (tagged("x", REPLACE, rule_handle=999), errno.ENOENT),
        (tagged("x", APPEND), errno.EINVAL),
        (new_rule(name="no"), errno.ENOENT),
        (new_rule(chain="no"), errno.ENOENT),
        (
            nft(raw.NEWRULE, CHAIN + raw.nest(4, raw.expression("bogus")), flags=CREATE),
            errno.ENOENT,
        ),
        (
            nft(
                raw.NEWRULE,
                CHAIN + raw.nest(4, raw.expression("objref", raw.be32(1, 3), raw.text(2, "no"))),
                flags=CREATE,
            ),
            errno.ENOENT,
        ),
        (nft(raw.DELRULE, CHAIN + raw.attr(3, raw.handle(999))), errno.ENOENT),
        (nft(raw.DELRULE, raw.text(1, "t") + raw.text(2, "no")), errno.ENOENT),
        (nft(raw.DELRULE, b""), errno.EINVAL),
    ],
    ids=[
        *("position", "handle", "no create", "map", "chain", "expression", "object"),
        *("delete handle", "delete in chain", "delete without table"),
    ],
)
def test_what_a_rule_cannot_refer_to(world: World, message: bytes, code: int) -> None:
    """Everything that a rule names must exist."""
    assert ruled(world).errno(message) == code


def test_a_rule_may_refer_to_an_object(world: World) -> None:
    """``ct helper set "ftp"`` without a map; the object is in use then."""
    peer = ruled(world)
    direct = raw.nest(4, raw.expression("objref", raw.be32(1, 3), raw.text(2, "ftp")))
    peer.do(nft(raw.NEWRULE, CHAIN + direct, flags=CREATE | APPEND))
    assert peer.errno(nft(raw.DELOBJ, raw.object_name("t", "ftp"))) == errno.EBUSY


def test_rules_are_deleted_by_handle_or_by_chain(world: World) -> None:
    """One; all of a chain; all of a table."""
    peer = ruled(world)
    peer.do(tagged("a"), tagged("b"), tagged("c"), new_rule("out"))
    peer.do(nft(raw.DELRULE, CHAIN + raw.attr(3, raw.handle(listed(peer)[1][1]))))
    assert [tag for tag, _ in listed(peer)] == ["a", "c"]
    peer.do(nft(raw.DELRULE, CHAIN))
    assert listed(peer) == []
    assert len(peer.dump(raw.GETRULE)) == 1
    peer.do(nft(raw.DELRULE, raw.text(1, "t")))
    assert peer.dump(raw.GETRULE) == []


def test_rules_are_dumped_by_chain(world: World) -> None:
    """A filter that selects nothing, even an unknown table, gives an empty dump."""
    peer = ruled(world)
    peer.do(tagged("a"), new_rule("out"))
    assert len(peer.dump(raw.GETRULE, raw.text(1, "t"))) == 2
    assert len(peer.dump(raw.GETRULE, CHAIN)) == 1
    assert peer.dump(raw.GETRULE, raw.text(1, "no")) == []
    assert peer.dump(raw.GETRULE, raw.text(1, "t") + raw.text(2, "no")) == []


def test_one_rule_is_read(world: World) -> None:
    """By its handle."""
    peer = ruled(world)
    peer.do(tagged("a"))
    ((_, handle),) = listed(peer)
    assert peer.get(raw.GETRULE, CHAIN + raw.attr(3, raw.handle(handle))).name(7) == "a"
    absent = nft(raw.GETRULE, CHAIN + raw.attr(3, raw.handle(999)), seq=3)
    assert errors(peer.ask(absent)) == [(3, "ENOENT")]


def test_a_rule_reads_only_what_it_has_written(world: World) -> None:
    """Looking up a key that is longer than what was loaded is ENODATA."""
    peer = ruled(world)
    peer.do(nft(raw.NEWSET, raw.object_map("t", "long", 12), flags=CREATE))
    assert peer.errno(new_rule(name="long")) == errno.ENODATA
