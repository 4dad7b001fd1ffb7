"""Chains: their hooks, what can be changed of them, and when they go."""

import errno

import pytest

from tests.testing import raw
from tests.testing.contract.peer import World, errors, new_chain, new_map, new_rule, new_table
from tests.testing.raw import CREATE, EXCL, nft

JUMP = raw.nest(
    4,
    raw.expression(
        "immediate",
        raw.be32(1, 0),
        raw.nest(2, raw.nest(2, raw.be32(1, -3), raw.text(2, "regular"))),
    ),
)


def test_a_base_chain_is_read_back(world: World) -> None:
    """A chain shows its hook, its policy, its type, its use and its userdata."""
    peer = world.connect()
    body = raw.chain("t", "pre", raw.PREROUTING, -150, userdata=b"\0\3ab\0")
    peer.do(new_table(), new_map(), nft(raw.NEWCHAIN, body, flags=CREATE), new_rule(), new_rule())
    answer = peer.get(raw.GETCHAIN, raw.text(1, "t") + raw.text(3, "pre"))
    assert list(answer.attributes) == [1, 3, 2, 4, 5, 7, 10, 6, 12]
    hook = raw.attributes(answer.attributes[4])
    assert (hook[1], hook[2]) == (b"\0\0\0\0", b"\xff\xff\xff\x6a")
    assert (answer.number(5), answer.name(7), answer.number(6)) == (1, "filter", 2)
    assert answer.attributes[12] == b"\0\3ab\0"


def test_a_regular_chain_has_no_hook(world: World) -> None:
    """Of a regular chain only names, handle and use are told."""
    peer = world.connect()
    peer.do(new_table(), new_chain("regular", None))
    (answer,) = peer.dump(raw.GETCHAIN)
    assert list(answer.attributes) == [1, 3, 2, 6]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (raw.chain("t", "pre", 0, -100), errno.EOPNOTSUPP),
        (raw.chain("t", "pre", 3), errno.EOPNOTSUPP),
        (raw.chain("t", "pre", 0, kind="nat"), errno.EEXIST),
        (raw.chain("t", "regular", 0), errno.EOPNOTSUPP),
        (raw.chain("t", "new", 0, kind="bogus"), errno.ENOENT),
        (raw.chain("t", "new", 9), errno.EOPNOTSUPP),
        (raw.chain("t", "new", 0, kind="route"), errno.EOPNOTSUPP),
        (raw.chain("t", "new", 0, -250, kind="nat"), errno.EOPNOTSUPP),
        (raw.chain("t", "new", 0, policy=7), errno.EINVAL),
        (raw.chain("no", "new", 0), errno.ENOENT),
    ],
    ids=[
        *("priority", "hook", "type", "regular to base", "unknown type", "unknown hook"),
        *("route elsewhere", "nat too early", "policy", "no table"),
    ],
)
def test_what_a_chain_cannot_be(world: World, body: bytes, code: int) -> None:
    """Hook, priority and type are for life; the rest must make sense."""
    peer = world.connect()
    peer.do(new_table(), new_chain(), new_chain("regular", None))
    assert peer.errno(nft(raw.NEWCHAIN, body, flags=CREATE)) == code


def test_the_policy_can_change(world: World) -> None:
    """A base chain takes another policy; userdata stays what it was."""
    peer = world.connect()
    peer.do(new_table(), new_chain())
    body = raw.chain("t", "pre", raw.PREROUTING, policy=0, userdata=b"\0\3ab\0")
    peer.do(nft(raw.NEWCHAIN, body, flags=CREATE))
    (answer,) = peer.dump(raw.GETCHAIN)
    assert answer.number(5) == 0
    assert 12 not in answer.attributes


def test_an_exclusive_chain_fails_if_it_exists(world: World) -> None:
    """EXCL makes an existing chain EEXIST."""
    peer = world.connect()
    peer.do(new_table(), new_chain())
    body = raw.chain("t", "pre", raw.PREROUTING)
    assert peer.errno(nft(raw.NEWCHAIN, body, flags=CREATE | EXCL)) == errno.EEXIST


def test_a_chain_goes_with_its_rules(world: World) -> None:
    """DELCHAIN takes the rules along, which frees what they referred to."""
    peer = world.connect()
    peer.do(new_table(), new_map(), new_chain(), new_rule())
    peer.do(nft(raw.DELCHAIN, raw.text(1, "t") + raw.text(3, "pre")))
    assert peer.dump(raw.GETRULE) == []
    peer.do(nft(raw.DELSET, raw.text(1, "t") + raw.text(2, "m")))


def test_a_chain_that_is_jumped_to_stays(world: World) -> None:
    """A chain in use is EBUSY, and counts the jump among its uses."""
    peer = world.connect()
    jump = raw.text(1, "t") + raw.text(2, "pre") + JUMP
    peer.do(
        new_table(),
        new_chain(),
        new_chain("regular", None),
        nft(raw.NEWRULE, jump, flags=CREATE | raw.APPEND),
    )
    name = raw.text(1, "t") + raw.text(3, "regular")
    assert peer.get(raw.GETCHAIN, name).number(6) == 1
    assert peer.errno(nft(raw.DELCHAIN, name)) == errno.EBUSY


def test_an_absent_chain_is_enoent(world: World) -> None:
    """Reading and deleting what is not there."""
    peer = world.connect()
    peer.do(new_table())
    name = raw.text(1, "t") + raw.text(3, "no")
    assert errors(peer.ask(nft(raw.GETCHAIN, name, seq=3))) == [(3, "ENOENT")]
    assert peer.errno(nft(raw.DELCHAIN, name)) == errno.ENOENT
