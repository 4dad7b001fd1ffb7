"""ct helper objects: which exist, for which families, and what the kernel does not check."""

import errno

import pytest

from tests.testing import raw
from tests.testing.contract.peer import (
    Peer,
    World,
    errors,
    generations,
    new_elements,
    new_object,
    new_table,
    planted,
)
from tests.testing.raw import CREATE, EXCL, INET, IPV4, IPV6, element, key, nft

TCP, UDP, SCTP = 6, 17, 132
BOTH = {
    *(("ftp", TCP), ("tftp", UDP), ("sip", TCP), ("sip", UDP), ("Q.931", TCP), ("RAS", UDP)),
    *(("H.245", UDP), ("amanda", UDP), ("sane", TCP)),
}
V4_ONLY = {
    *(("irc", TCP), ("pptp", TCP), ("snmp", UDP), ("snmp_trap", UDP), ("netbios-ns", UDP)),
}
NAMES = sorted({name for name, _ in BOTH | V4_ONLY} | {"h323", "FTP", "nonesuch", ""})


def read(peer: Peer, name: str, table: str = "t", family: int = INET) -> tuple[str, int, int]:
    """Return (helper, l4, l3) of an object."""
    answer = peer.get(raw.GETOBJ, raw.object_name(table, name), family)
    inner = raw.attributes(answer.attributes[4])
    return (
        inner[1].rstrip(b"\0").decode(),
        int.from_bytes(inner[3], "big"),
        int.from_bytes(inner[2], "big"),
    )


@pytest.mark.parametrize("l4", [TCP, UDP, SCTP, 0])
@pytest.mark.parametrize("helper", NAMES)
def test_the_helpers_of_this_kernel(world: World, helper: str, l4: int) -> None:
    """Exactly the matrix is accepted, in its exact spelling; a v4-only helper silently is half."""
    peer = world.connect()
    peer.do(new_table())
    expected = INET if (helper, l4) in BOTH else IPV4 if (helper, l4) in V4_ONLY else None
    code = peer.errno(new_object("o", helper, l4))
    if expected is None:
        assert code == errno.ENOENT
    else:
        assert code == 0
        assert read(peer, "o") == (helper, l4, expected)


@pytest.mark.parametrize(
    ("helper", "l3", "outcome"),
    [
        ("ftp", IPV4, IPV4),
        ("ftp", IPV6, IPV6),
        ("ftp", INET, INET),
        ("ftp", 7, INET),
        ("irc", IPV4, IPV4),
        ("irc", INET, IPV4),
        ("irc", IPV6, -errno.ENOENT),
        ("ftp", 3, -errno.EAFNOSUPPORT),
    ],
)
def test_a_family_may_be_asked_for(world: World, helper: str, l3: int, outcome: int) -> None:
    """What is dumped is what the kernel really has, not what was asked for."""
    peer = world.connect()
    peer.do(new_table())
    code = peer.errno(nft(raw.NEWOBJ, raw.helper_object("t", "o", helper, TCP, l3), flags=CREATE))
    assert (-code if code else read(peer, "o")[2]) == outcome


@pytest.mark.parametrize(
    ("family", "helper", "l3", "outcome"),
    [
        (IPV4, "ftp", None, IPV4),
        (IPV6, "ftp", None, IPV6),
        (IPV6, "irc", None, -errno.ENOENT),
        (IPV6, "irc", IPV4, -errno.EINVAL),
    ],
)
def test_a_table_of_one_family(
    world: World, family: int, helper: str, l3: int | None, outcome: int
) -> None:
    """Outside of inet a helper is for the table's family alone."""
    peer = world.connect()
    body = raw.helper_object("t", "o", helper, TCP, l3)
    peer.do(new_table(family=family))
    code = peer.errno(nft(raw.NEWOBJ, body, flags=CREATE, family=family))
    assert (-code if code else read(peer, "o", family=family)[2]) == outcome


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (raw.helper_object("t", "o", "x" * 16, TCP), errno.ERANGE),
        (raw.helper_object("no", "o", "ftp", TCP), errno.ENOENT),
        (raw.object_name("t", "o"), errno.EINVAL),
        (raw.object_name("t", "o") + raw.nest(4, raw.text(1, "ftp")), errno.EINVAL),
        (raw.object_name("t", "o", 77) + raw.nest(4, raw.text(1, "ftp")), errno.ENOENT),
    ],
    ids=["long name", "no table", "no content", "no l4", "unknown type"],
)
def test_what_is_no_object(world: World, body: bytes, code: int) -> None:
    """Names have 15 characters, content is needed, types must exist."""
    peer = world.connect()
    peer.do(new_table())
    assert peer.errno(nft(raw.NEWOBJ, body, flags=CREATE)) == code


@pytest.mark.parametrize("helper", ["ftp", "sip", "nonesuch"])
def test_readding_succeeds_and_changes_nothing(world: World, helper: str) -> None:
    """Even with a helper that does not exist: the kernel does not look."""
    peer = planted(world)
    with generations(peer, begun=0):
        assert peer.errno(new_object("ftp", helper)) == 0
    assert read(peer, "ftp") == ("ftp", TCP, INET)


def test_an_exclusive_object_fails_if_it_exists(world: World) -> None:
    """EXCL makes an existing object EEXIST."""
    body = raw.helper_object("t", "ftp", "ftp", TCP)
    assert planted(world).errno(nft(raw.NEWOBJ, body, flags=CREATE | EXCL)) == errno.EEXIST


def test_an_object_in_use_stays(world: World) -> None:
    """EBUSY while an element refers to it; the use is told."""
    peer = planted(world)
    peer.do(new_elements(element(key(6, 21), "ftp"), element(key(6, 2121), "ftp")))
    assert peer.get(raw.GETOBJ, raw.object_name("t", "ftp")).number(5) == 2
    assert peer.errno(nft(raw.DELOBJ, raw.object_name("t", "ftp"))) == errno.EBUSY
    assert peer.errno(nft(raw.DELOBJ, raw.object_name("t", "irc"))) == 0


def test_an_object_is_replaced_in_one_batch(world: World) -> None:
    """Delete and add: the way to change what an object is."""
    peer = planted(world)
    peer.do(nft(raw.DELOBJ, raw.object_name("t", "ftp")), new_object("ftp", "sip"))
    assert read(peer, "ftp") == ("sip", TCP, INET)


@pytest.mark.parametrize("body", [raw.object_name("t", "no"), raw.object_name("t", "ftp", 1)])
def test_an_absent_object_is_enoent(world: World, body: bytes) -> None:
    """The type is part of the name."""
    peer = planted(world)
    assert errors(peer.ask(nft(raw.GETOBJ, body, seq=3))) == [(3, "ENOENT")]
    assert peer.errno(nft(raw.DELOBJ, body)) == errno.ENOENT


def test_objects_are_dumped_by_table_and_type(world: World) -> None:
    """A filter that selects nothing, even an unknown table, gives an empty dump."""
    peer = planted(world)
    peer.do(nft(raw.NEWOBJ, raw.helper_object("t", "u", "tftp", UDP, None, b"\0\3ab\0")))
    listed = peer.dump(raw.GETOBJ, raw.text(1, "t") + raw.be32(3, raw.CT_HELPER))
    assert [each.name(2) for each in listed] == ["ftp", "irc", "u"]
    assert list(listed[2].attributes) == [1, 2, 3, 6, 5, 4, 8]
    assert peer.dump(raw.GETOBJ, raw.text(1, "t") + raw.be32(3, 1)) == []
    assert peer.dump(raw.GETOBJ, raw.text(1, "no")) == []
