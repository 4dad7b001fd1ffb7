"""Tables: creation, reading, flags, removal."""

import errno

import pytest

from tests.testing import raw
from tests.testing.contract.peer import (
    World,
    errors,
    generations,
    new_chain,
    new_table,
    planted,
)
from tests.testing.raw import CREATE, EXCL, nft


def test_a_table_is_read_back(world: World) -> None:
    """A table shows its name, its use, its flags, its owner and its userdata."""
    peer = world.connect()
    tag = b"\0\6hello\0"
    peer.do(nft(raw.NEWTABLE, raw.table("t", 6, tag), flags=CREATE), new_chain(hook=None))
    answer = peer.get(raw.GETTABLE, raw.table("t"))
    assert list(answer.attributes) == [1, 3, 4, 2, 7, 6]
    assert (answer.name(1), answer.number(3), answer.number(2)) == ("t", 1, 6)
    assert (answer.number(7), answer.attributes[6]) == (peer.portid, tag)
    assert answer.res_id == peer.generation() & 0xFFFF


def test_a_table_without_owner_or_userdata_does_not_show_them(world: World) -> None:
    """Absent attributes stay away; flags are always told."""
    peer = world.connect()
    peer.do(new_table())
    answer = peer.get(raw.GETTABLE, raw.table("t"))
    assert list(answer.attributes) == [1, 3, 4, 2]
    assert answer.number(2) == 0


def test_an_absent_table_is_enoent(world: World) -> None:
    """A family is part of the name."""
    peer = world.connect()
    peer.do(new_table())
    for body, family in ((raw.table("no"), raw.INET), (raw.table("t"), raw.IPV4)):
        answers = peer.ask(nft(raw.GETTABLE, body, seq=3, family=family))
        assert errors(answers) == [(3, "ENOENT")]


def test_tables_are_dumped_by_family(world: World) -> None:
    """Family 0 lists every family; tables come in the order of their creation within one."""
    peer = world.connect()
    peer.do(new_table("a"), new_table("b"), new_table("a", family=raw.IPV4))
    assert [each.name(1) for each in peer.dump(raw.GETTABLE)] == ["a", "b"]
    assert [each.name(1) for each in peer.dump(raw.GETTABLE, family=raw.IPV4)] == ["a"]
    assert [each.family for each in peer.dump(raw.GETTABLE, family=0)] == [1, 1, 2]


def test_creation_needs_no_create_flag(world: World) -> None:
    """The kernel makes a table whether or not CREATE is set."""
    peer = world.connect()
    assert peer.errno(nft(raw.NEWTABLE, raw.table("t"))) == 0
    assert peer.get(raw.GETTABLE, raw.table("t")).name(1) == "t"


def test_an_exclusive_creation_fails_if_it_exists(world: World) -> None:
    """EXCL makes an existing table EEXIST."""
    peer = world.connect()
    peer.do(new_table())
    assert peer.errno(nft(raw.NEWTABLE, raw.table("t"), flags=CREATE | EXCL)) == errno.EEXIST


def test_other_userdata_changes_nothing(world: World) -> None:
    """Re-adding a table with another comment succeeds and keeps the old one."""
    peer = world.connect()
    peer.do(nft(raw.NEWTABLE, raw.table("t", userdata=b"\0\2a\0"), flags=CREATE))
    with generations(peer, begun=0):
        peer.do(nft(raw.NEWTABLE, raw.table("t", userdata=b"\0\2b\0"), flags=CREATE))
    assert peer.get(raw.GETTABLE, raw.table("t")).attributes[6] == b"\0\2a\0"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (nft(raw.NEWTABLE, raw.table("t", 8)), errno.EOPNOTSUPP),
        (nft(raw.NEWTABLE, raw.table("t"), family=77), errno.EOPNOTSUPP),
        (nft(raw.NEWTABLE, b""), errno.EINVAL),
        (nft(raw.NEWTABLE, raw.table("n" * 300)), errno.ERANGE),
        (nft(raw.DELTABLE, raw.table("no")), errno.ENOENT),
    ],
    ids=["unknown flag", "unknown family", "no name", "long name", "delete absent"],
)
def test_what_cannot_be_is_refused(world: World, message: bytes, code: int) -> None:
    """Unknown flags and families, and names that are missing, too long or absent."""
    assert world.connect().errno(message) == code


def test_some_refusals_come_with_words(world: World) -> None:
    """Where the kernel has words they are in the extended acknowledgement."""
    (answer,) = world.connect().commit(nft(raw.NEWTABLE, raw.table("n" * 300)))
    assert answer.words == "Attribute failed policy validation"


def test_a_table_goes_with_all_that_is_in_it(world: World) -> None:
    """Chains, maps, objects and elements go with their table."""
    peer = planted(world)
    peer.do(nft(raw.DELTABLE, raw.table("t")))
    assert peer.dump(raw.GETTABLE) == []
    assert peer.dump(raw.GETOBJ) == []
    assert peer.dump(raw.GETSET) == []


def test_a_table_may_be_replaced_in_one_batch(world: World) -> None:
    """Delete and create again: a plain table becomes an owned one that way."""
    peer = world.connect()
    peer.do(new_table(), new_chain())
    before = peer.get(raw.GETTABLE, raw.table("t")).number(4)
    peer.do(nft(raw.DELTABLE, raw.table("t")), new_table(flags=6))
    after = peer.get(raw.GETTABLE, raw.table("t"))
    assert (after.number(2), after.number(3), after.number(7)) == (6, 0, peer.portid)
    assert after.number(4) != before


def test_a_flush_removes_every_table_of_a_family(world: World) -> None:
    """DELTABLE without a name removes a family's tables, or with family 0 all."""
    peer = world.connect()
    peer.do(new_table("a"), new_table("b", family=raw.IPV4), new_table("c", family=raw.IPV6))
    peer.do(nft(raw.DELTABLE, b"", family=raw.IPV4))
    assert [each.name(1) for each in peer.dump(raw.GETTABLE, family=0)] == ["a", "c"]
    peer.do(nft(raw.DELTABLE, b"", family=0))
    assert peer.dump(raw.GETTABLE, family=0) == []
