"""Ownership: what the kernel guards, against whom, and until when."""

import errno

import pytest

from tests.testing import raw
from tests.testing.contract.peer import (
    Peer,
    World,
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
from tests.testing.raw import OWNER, PERSIST, element, key, nft

GUARDED = OWNER | PERSIST


def shown(peer: Peer, name: str = "t") -> tuple[int, int | None]:
    """Return (flags, owner) of a table."""
    answer = peer.get(raw.GETTABLE, raw.table(name))
    return answer.number(2), answer.number(7) if 7 in answer.attributes else None


@pytest.mark.parametrize(
    "change",
    [
        new_table(),
        new_table(flags=GUARDED),
        nft(raw.DELTABLE, raw.table("t")),
        new_chain(),
        nft(raw.DELCHAIN, raw.text(1, "t") + raw.text(3, "pre")),
        new_rule(),
        nft(raw.DELRULE, raw.text(1, "t")),
        new_map("n"),
        nft(raw.DELSET, raw.text(1, "t") + raw.text(2, "m")),
        new_elements(element(key(6, 1), "ftp")),
        del_elements(element(key(6, 21))),
        del_elements(),
        new_object("x", "ftp"),
        nft(raw.DELOBJ, raw.object_name("t", "ftp")),
    ],
    ids=[
        *("newtable", "claim", "deltable", "newchain", "delchain", "newrule", "delrule"),
        *("newset", "delset", "newelem", "delelem", "flush", "newobj", "delobj"),
    ],
)
def test_nobody_else_changes_an_owned_table(world: World, change: bytes) -> None:
    """Every change by another socket is EPERM, its own process's other sockets included."""
    owner, other = planted(world), world.connect()
    owner.do(new_chain(), new_elements(element(key(6, 21), "ftp")))
    with generations(owner, begun=0):
        assert other.errno(change) == errno.EPERM


def test_everybody_reads_an_owned_table(world: World) -> None:
    """The guard is against changes only."""
    planted(world)
    other = world.connect()
    assert other.get(raw.GETTABLE, raw.table("t")).number(7)
    assert other.elements("t", "m") == {}


def test_a_flush_by_others_skips_an_owned_table(world: World) -> None:
    """``nft flush ruleset`` succeeds, and leaves what it may not touch."""
    owner, other = planted(world), world.connect()
    other.do(new_table("other"))
    assert other.commit(nft(raw.DELTABLE, b"", family=0)) == []
    assert [each.name(1) for each in owner.dump(raw.GETTABLE, family=0)] == ["t"]


def test_a_persistent_table_outlives_its_owner(world: World) -> None:
    """When the owner's socket closes the table stays with its content, unowned, unguarded."""
    owner, other = planted(world), world.connect()
    owner.do(new_elements(element(key(6, 21), "ftp")))
    owner.close()
    assert shown(other) == (PERSIST, None)
    assert other.elements("t", "m") == {(key(6, 21), None): "ftp"}
    assert other.errno(del_elements(element(key(6, 21)))) == 0


def test_a_table_that_does_not_persist_dies_with_its_owner(world: World) -> None:
    """Owner without persist: the table is gone when the socket closes."""
    owner, other = planted(world, flags=OWNER), world.connect()
    assert shown(other) == (OWNER, owner.portid)
    owner.close()
    assert other.dump(raw.GETTABLE) == []


@pytest.mark.parametrize("flags", [GUARDED, OWNER], ids=["stays", "dies"])
def test_the_end_of_an_owner_begins_no_generation(world: World, flags: int) -> None:
    """The generation does not tell that a table lost its guard, or is gone altogether."""
    owner, other = planted(world, flags=flags), world.connect()
    before = other.generation()
    owner.close()
    assert other.generation() == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (new_chain(), errno.EINVAL),
        (new_chain("regular", None), errno.EINVAL),
        (nft(raw.DELCHAIN, raw.text(1, "t") + raw.text(3, "pre")), errno.EINVAL),
        (nft(raw.DELCHAIN, raw.text(1, "t") + raw.text(3, "regular")), 0),
        (new_chain("another"), 0),
        (new_map(), 0),
        (nft(raw.DELRULE, raw.text(1, "t")), 0),
    ],
    ids=[
        *("base chain again", "regular chain again", "base chain deleted"),
        *("regular chain deleted", "new chain", "map again", "rules deleted"),
    ],
)
def test_a_claim_precedes_changes_of_chains(world: World, change: bytes, code: int) -> None:
    """A table does not change behind an update of a chain, or the end of a base chain."""
    first, second = planted(world), world.connect()
    first.do(new_chain(), new_chain("regular", None))
    first.close()
    assert second.errno(change, new_table(flags=GUARDED)) == code


def test_an_orphan_is_claimed(world: World) -> None:
    """A new socket becomes the owner, keeps handle, content and comment, and guards at once."""
    first, second, third = planted(world), world.connect(), world.connect()
    handle = first.get(raw.GETTABLE, raw.table("t")).number(4)
    first.close()
    with generations(second, begun=1):
        second.do(new_table(flags=GUARDED))
    assert shown(second) == (GUARDED, second.portid)
    assert second.get(raw.GETTABLE, raw.table("t")).number(4) == handle
    assert third.errno(nft(raw.DELTABLE, raw.table("t"))) == errno.EPERM


def test_a_claim_shares_its_batch_with_changes(world: World) -> None:
    """Claim and change happen together; a failing batch does not claim either."""
    first, second = planted(world), world.connect()
    first.close()
    answers = second.commit(
        new_table(flags=GUARDED), nft(raw.DELOBJ, raw.object_name("t", "no"), seq=9)
    )
    assert errors(answers) == [(9, "ENOENT")]
    assert shown(second) == (PERSIST, None)
    second.do(new_table(flags=GUARDED), new_elements(element(key(6, 1), "ftp")))
    assert shown(second) == (GUARDED, second.portid)


def test_a_claim_must_keep_the_persistence(world: World) -> None:
    """Owner alone does not claim a persistent orphan."""
    first, second = planted(world), world.connect()
    first.close()
    assert second.errno(new_table(flags=OWNER)) == errno.EOPNOTSUPP


@pytest.mark.parametrize("flags", [GUARDED, OWNER, PERSIST])
def test_a_plain_table_is_never_claimed(world: World, flags: int) -> None:
    """A table that was made without persist takes neither owner nor persistence later."""
    peer = world.connect()
    peer.do(new_table())
    assert peer.errno(new_table(flags=flags)) == errno.EOPNOTSUPP


def test_a_table_made_persistent_alone_is_an_orphan(world: World) -> None:
    """Persistence without an owner may be created, and may be claimed."""
    peer = world.connect()
    peer.do(new_table(flags=PERSIST))
    assert shown(peer) == (PERSIST, None)
    peer.do(new_table(flags=GUARDED))
    assert shown(peer) == (GUARDED, peer.portid)


@pytest.mark.parametrize("flags", [0, OWNER, PERSIST])
def test_an_owner_cannot_give_up(world: World, flags: int) -> None:
    """Other flags on an owned table are EOPNOTSUPP, even from the owner."""
    assert planted(world).errno(new_table(flags=flags)) == errno.EOPNOTSUPP


def test_an_owner_may_name_its_table_without_flags(world: World) -> None:
    """A table message without flags asks for none to change."""
    peer = planted(world)
    assert peer.errno(new_table()) == 0
    assert shown(peer) == (GUARDED, peer.portid)


def test_each_socket_has_its_own_address(world: World) -> None:
    """No two sockets share a port id."""
    peers = [world.connect() for _ in range(5)]
    assert len({each.portid for each in peers}) == 5
