"""Maps of ct helper objects: how they are declared and shown."""

import errno

import pytest

from tests.testing import raw
from tests.testing.contract.peer import (
    World,
    errors,
    new_chain,
    new_elements,
    new_map,
    new_rule,
    new_table,
    planted,
)
from tests.testing.raw import CREATE, EXCL, SET_CONCAT, SET_INTERVAL, SET_MAP, SET_OBJECT, nft

INTERVALS = SET_INTERVAL | SET_CONCAT


def test_a_map_is_read_back(world: World) -> None:
    """A map shows its handle, flags, key, kind of object, userdata and description."""
    peer = world.connect()
    body = raw.object_map("t", "m", userdata=b"\7\3ab\0")
    peer.do(new_table(), nft(raw.NEWSET, body, flags=CREATE))
    answer = peer.get(raw.GETSET, raw.text(1, "t") + raw.text(2, "m"))
    known = [kind for kind in answer.attributes if kind < 17]
    assert known == [1, 2, 16, 3, 4, 5, 15, 13, 9]
    assert (answer.number(3), answer.number(4), answer.number(5)) == (64, raw.PROTO_PORT, 8)
    assert (answer.number(15), answer.attributes[13]) == (3, b"\7\3ab\0")
    assert answer.attributes[9] == b""


def test_an_interval_map_shows_its_fields(world: World) -> None:
    """The lengths of the concatenated parts come back."""
    peer = world.connect()
    body = raw.object_map("t", "i", 12, flags=INTERVALS, fields=(1, 4, 2))
    peer.do(new_table(), nft(raw.NEWSET, body, flags=CREATE))
    (answer,) = peer.dump(raw.GETSET)
    assert answer.number(3) == SET_OBJECT | INTERVALS
    parts = raw.attribute_list(raw.attributes(answer.attributes[9])[2])
    assert [raw.attributes(part)[1][-1] for _, part in parts] == [1, 4, 2]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (raw.object_map("t", "n", object_flag=SET_MAP), errno.EINVAL),
        (raw.object_map("t", "n", object_flag=SET_MAP | SET_OBJECT), errno.EOPNOTSUPP),
        (raw.object_map("t", "n", 0), errno.EINVAL),
        (raw.object_map("t", "n", 65), errno.EINVAL),
        (raw.object_map("t", "n", 10, flags=INTERVALS, fields=(1, 4, 2)), errno.EINVAL),
        (raw.object_map("no", "n"), errno.ENOENT),
        (raw.text(1, "t") + raw.text(2, "n") + raw.be32(5, 8), errno.EINVAL),
        (raw.object_map("t", "m", 4), errno.EEXIST),
        (raw.object_map("t", "m", key_type=5), errno.EEXIST),
        (raw.object_map("t", "m", flags=INTERVALS, fields=(1, 2)), errno.EEXIST),
    ],
    ids=[
        *("map flag", "both flags", "empty key", "long key", "fields do not fill the key"),
        *("no table", "no id", "other key length", "other key type", "other flags"),
    ],
)
def test_what_a_map_cannot_be(world: World, body: bytes, code: int) -> None:
    """OBJECT goes without MAP, keys have 1 to 64 bytes, an existing map cannot become another."""
    assert planted(world).errno(nft(raw.NEWSET, body, flags=CREATE)) == code


def test_a_map_needs_the_create_flag(world: World) -> None:
    """Unlike tables, chains and objects."""
    assert planted(world).errno(nft(raw.NEWSET, raw.object_map("t", "n"))) == errno.ENOENT


def test_readding_keeps_the_userdata(world: World) -> None:
    """Another comment succeeds and changes nothing."""
    peer = planted(world)
    peer.do(nft(raw.NEWSET, raw.object_map("t", "m", userdata=b"\7\2a\0"), flags=CREATE))
    assert 13 not in peer.get(raw.GETSET, raw.text(1, "t") + raw.text(2, "m")).attributes
    exclusive = nft(raw.NEWSET, raw.object_map("t", "m"), flags=CREATE | EXCL)
    assert peer.errno(exclusive) == errno.EEXIST


def test_a_map_that_a_rule_looks_up_stays(world: World) -> None:
    """EBUSY while it is referred to, then it goes with its elements and frees their objects."""
    peer = planted(world)
    peer.do(new_chain(), new_elements(raw.element(raw.key(6, 21), "ftp")), new_rule())
    name = raw.text(1, "t") + raw.text(2, "m")
    assert peer.errno(nft(raw.DELSET, name)) == errno.EBUSY
    peer.do(nft(raw.DELRULE, raw.text(1, "t") + raw.text(2, "pre")), nft(raw.DELSET, name))
    assert peer.get(raw.GETOBJ, raw.object_name("t", "ftp")).number(5) == 0


def test_a_map_is_replaced_in_one_batch(world: World) -> None:
    """Delete and create: the way to give a map another comment."""
    peer = planted(world)
    peer.do(
        nft(raw.DELSET, raw.text(1, "t") + raw.text(2, "m")),
        nft(raw.NEWSET, raw.object_map("t", "m", userdata=b"\7\2a\0"), flags=CREATE),
        new_elements(raw.element(raw.key(6, 1), "irc")),
    )
    assert peer.elements("t", "m") == {(raw.key(6, 1), None): "irc"}


def test_an_absent_map_is_enoent(world: World) -> None:
    """Reading, deleting, and dumping the elements of what is not there."""
    peer = planted(world)
    name = raw.text(1, "t") + raw.text(2, "no")
    assert errors(peer.ask(nft(raw.GETSET, name, seq=3))) == [(3, "ENOENT")]
    assert peer.errno(nft(raw.DELSET, name)) == errno.ENOENT
    assert peer.errno(new_elements(raw.element(raw.key(6, 1), "ftp"), name="no")) == errno.ENOENT
    for body in (name, raw.text(1, "no") + raw.text(2, "m")):
        answers = peer.ask(nft(raw.GETELEM, body, flags=raw.DUMP, seq=4))
        assert errors(answers) == [(4, "ENOENT")]


def test_a_map_may_be_meant_by_its_id(world: World) -> None:
    """A name that does not exist, with the id of a map of this batch, means that one."""
    peer = planted(world)
    one = raw.element(raw.key(6, 1), "ftp")
    peer.do(
        nft(raw.NEWSET, raw.object_map("t", "n", set_id=77), flags=CREATE),
        nft(raw.NEWELEM, raw.elements("t", "whatever", one, set_id=77), flags=CREATE),
    )
    assert peer.elements("t", "n") == {(raw.key(6, 1), None): "ftp"}


def by_id(set_id: int) -> bytes:
    """Ask for an element of a map that is meant by its id alone."""
    one = raw.element(raw.key(6, 1), "ftp")
    return nft(raw.NEWELEM, raw.elements("t", "whatever", one, set_id=set_id), flags=CREATE)


def test_a_map_that_is_added_again_has_the_id_zero(world: World) -> None:
    """The id that a batch gives belongs to a map that is new in it; another one answers to 0."""
    peer = planted(world)
    again = nft(raw.NEWSET, raw.object_map("t", "m", set_id=77), flags=CREATE)
    assert peer.errno(again, by_id(77)) == errno.ENOENT
    assert peer.errno(by_id(0)) == errno.ENOENT
    peer.do(again, by_id(0))
    assert peer.elements("t", "m") == {(raw.key(6, 1), None): "ftp"}


def test_of_maps_with_one_id_the_last_that_stays_is_meant(world: World) -> None:
    """A map that the batch deletes again leaves its id to the one before it."""
    peer = planted(world)
    one, two = (
        nft(raw.NEWSET, raw.object_map("t", name, set_id=5), flags=CREATE) for name in ("n", "o")
    )
    gone = nft(raw.DELSET, raw.text(1, "t") + raw.text(2, "o"))
    peer.do(
        one,
        two,
        by_id(5),
        gone,
        by_id(5),
        nft(raw.NEWSET, raw.object_map("t", "o", set_id=6), flags=CREATE),
    )
    assert peer.elements("t", "n") == {(raw.key(6, 1), None): "ftp"}
    assert peer.elements("t", "o") == {}


def test_maps_are_dumped_by_table(world: World) -> None:
    """All of a table, or of all tables."""
    peer = planted(world)
    peer.do(new_table("u"), new_map("n", "u"))
    assert [each.name(2) for each in peer.dump(raw.GETSET, raw.text(1, "u"))] == ["n"]
    assert [each.name(2) for each in peer.dump(raw.GETSET)] == ["m", "n"]
