"""Interval maps: what the kernel says of overlaps, and what it deletes."""

import errno
import struct
from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest

from tests.testing import raw
from tests.testing.contract.peer import (
    Peer,
    World,
    del_elements,
    errors,
    generations,
    new_elements,
    new_object,
    new_table,
)
from tests.testing.raw import CREATE, SET_CONCAT, SET_INTERVAL, nft


def point(address: bytes, port: int, l4: int = 6) -> bytes:
    """Pack a key ``l4proto . daddr . dport``."""
    return struct.pack(">B3x", l4) + address + struct.pack(">H2x", port)


def span(
    text: str, target: str | None = None, ports: tuple[int, int] = (21, 21), l4: int = 6
) -> bytes:
    """Pack an element that covers a prefix, or ``first-last``, and a range of ports."""
    low, high = bounds(text)
    return raw.element(point(low, ports[0], l4), target, point(high, ports[1], l4))


def bounds(text: str) -> tuple[bytes, bytes]:
    """Return the first and last address of a prefix, or of ``first-last``."""
    if "-" in text:
        first, last = (ip_network(part)[0].packed for part in text.split("-"))
        return first, last
    network: IPv4Network | IPv6Network = ip_network(text)
    return network[0].packed, network[-1].packed


def ranged(world: World, address_length: int = 4) -> Peer:
    """Return a peer that has made an interval map ``m`` for addresses of that length."""
    peer = world.connect()
    key_length = 4 + address_length + 4
    body = raw.object_map(
        "t", "m", key_length, flags=SET_INTERVAL | SET_CONCAT, fields=(1, address_length, 2)
    )
    peer.do(
        new_table(),
        new_object("ftp", "ftp"),
        new_object("irc", "irc"),
        nft(raw.NEWSET, body, flags=CREATE),
    )
    return peer


def targets(peer: Peer) -> list[str]:
    """Return the objects in the map, sorted."""
    return sorted(peer.elements("t", "m").values())


def test_ranges_are_read_back(world: World) -> None:
    """A range shows both ends; a single key that was given without an end shows none."""
    peer = ranged(world)
    low, high = bounds("10.0.0.0/8")
    single = point(b"\1\2\3\4", 21)
    peer.do(new_elements(span("10.0.0.0/8", "ftp"), raw.element(single, "irc")))
    assert peer.elements("t", "m") == {
        (point(low, 21), point(high, 21)): "ftp",
        (single, None): "irc",
    }


def test_an_equal_range_is_no_change(world: World) -> None:
    """With the same object; with another it is EEXIST."""
    peer = ranged(world)
    peer.do(new_elements(span("10.0.0.0/8", "ftp")))
    with generations(peer, begun=0):
        assert peer.errno(new_elements(span("10.0.0.0/8", "ftp"))) == 0
    assert peer.errno(new_elements(span("10.0.0.0/8", "irc"))) == errno.EEXIST


@pytest.mark.parametrize("target", ["ftp", "irc"])
@pytest.mark.parametrize(
    "inner",
    [
        *("10.1.0.0/16", "10.0.0.0/16", "10.255.0.0/16"),
        *("9.0.0.0-10.127.255.255", "10.128.0.0-11.255.255.255"),
    ],
)
def test_a_range_that_starts_or_ends_in_another_is_refused(
    world: World, inner: str, target: str
) -> None:
    """EEXIST, even with the same object."""
    peer = ranged(world)
    peer.do(new_elements(span("10.0.0.0/8", "ftp")))
    assert peer.errno(new_elements(span(inner, target))) == errno.EEXIST


def test_a_range_around_another_is_accepted(world: World) -> None:
    """What the kernel says depends on the order: the wider one may come second."""
    peer = ranged(world)
    peer.do(new_elements(span("10.1.0.0/16", "ftp")))
    assert peer.errno(new_elements(span("10.0.0.0/8", "irc"))) == 0
    assert targets(peer) == ["ftp", "irc"]
    with generations(peer, begun=0):
        peer.do(new_elements(span("10.1.0.0/16", "ftp"), span("10.0.0.0/8", "irc")))


def test_overlap_is_counted_over_all_fields(world: World) -> None:
    """Ranges that share addresses but no port, or ports but no address, do not overlap."""
    peer = ranged(world)
    peer.do(new_elements(span("10.0.0.0/24", "ftp", (20, 30))))
    assert peer.errno(new_elements(span("10.0.0.0/24", "irc", (31, 40)))) == 0
    assert peer.errno(new_elements(span("11.0.0.0/24", "irc", (25, 35)))) == 0
    assert peer.errno(new_elements(span("10.0.0.0/24", "irc", (25, 35), l4=17))) == 0
    assert peer.errno(new_elements(span("10.0.0.5", "irc", (22, 22)))) == errno.EEXIST
    assert peer.errno(new_elements(span("10.0.0.0/24", "irc", (19, 25)))) == errno.EEXIST


def test_overlaps_within_one_message_are_found(world: World) -> None:
    """Elements of one message see each other, in order."""
    peer = ranged(world)
    wide, narrow = span("20.0.0.0/8", "ftp"), span("20.1.0.0/16", "irc")
    (answer,) = peer.commit(new_elements(wide, narrow, seq=9))
    assert errors([answer]) == [(9, "EEXIST")]
    assert answer.offset is not None
    assert new_elements(wide, narrow)[answer.offset :].startswith(narrow)
    assert peer.errno(new_elements(narrow, wide)) == 0


def test_a_range_must_not_run_backwards(world: World) -> None:
    """EINVAL."""
    peer = ranged(world)
    assert peer.errno(new_elements(span("3.0.0.5-3.0.0.4", "ftp"))) == errno.EINVAL


def test_a_single_key_may_be_written_either_way(world: World) -> None:
    """Without an end, or with an end equal to the key, is the same element."""
    peer = ranged(world)
    peer.do(new_elements(span("1.2.3.4", "ftp")))
    single = raw.element(point(b"\1\2\3\4", 21), "ftp")
    with generations(peer, begun=0):
        assert peer.errno(new_elements(single)) == 0


def test_a_deletion_looks_at_the_start_only(world: World) -> None:
    """Deleting a range that was never there deletes the one that covers its start."""
    peer = ranged(world)
    peer.do(new_elements(span("10.0.0.0/8", "ftp")))
    assert peer.errno(del_elements(span("10.1.0.0/16"))) == 0
    assert targets(peer) == []


def test_of_several_that_cover_the_oldest_is_deleted(world: World) -> None:
    """Not the one that was named exactly."""
    peer = ranged(world)
    for text, target in (("10.5.0.0", "ftp"), ("10.0.0.0/8", "irc"), ("8.0.0.0/5", "ftp")):
        peer.do(new_elements(span(text, target)))
    peer.do(del_elements(span("10.5.0.0/16")))
    assert targets(peer) == ["ftp", "irc"]
    peer.do(del_elements(span("10.5.0.0")))
    assert list(peer.elements("t", "m")) == [tuple(point(each, 21) for each in bounds("8.0.0.0/5"))]


def test_deleting_where_nothing_covers_is_enoent(world: World) -> None:
    """As everywhere."""
    peer = ranged(world)
    peer.do(new_elements(span("10.0.0.0/8", "ftp")))
    assert peer.errno(del_elements(span("77.0.0.0/8"))) == errno.ENOENT
    assert peer.errno(del_elements(span("10.0.0.0/8", ports=(22, 22)))) == errno.ENOENT


def test_a_range_is_replaced_in_one_batch(world: World) -> None:
    """Delete the wide one and add a narrow one with another object."""
    peer = ranged(world)
    peer.do(new_elements(span("10.0.0.0/8", "ftp")))
    peer.do(del_elements(span("10.0.0.0/8")), new_elements(span("10.1.0.0/16", "irc")))
    assert targets(peer) == ["irc"]


def test_reading_one_key_finds_the_range_that_covers_it(world: World) -> None:
    """GETSETELEM looks up, it does not compare."""
    peer = ranged(world)
    peer.do(new_elements(span("10.0.0.0/8", "ftp")))
    inside = raw.element(point(b"\x0a\5\0\0", 21))
    answer = peer.get(raw.GETELEM, raw.elements("t", "m", inside))
    ((_, packed),) = raw.attribute_list(answer.attributes[3])
    assert raw.attributes(packed)[9] == b"ftp\0"


def test_ipv6_ranges_are_compared_to_their_last_byte(world: World) -> None:
    """Prefixes that differ only in the last bytes of their end are not taken for equal."""
    peer = ranged(world, 16)
    peer.do(new_elements(span("2001:db8::/100", "ftp")))
    assert peer.errno(new_elements(span("2001:db8::/112", "ftp"))) == errno.EEXIST
    assert peer.errno(new_elements(span("2001:db8::/64", "ftp"))) == errno.EEXIST
    assert peer.errno(new_elements(span("2001:db9::/64", "irc"))) == 0
    assert targets(peer) == ["ftp", "irc"]


def test_both_fields_keep_their_objects_busy(world: World) -> None:
    """Elements of interval maps count as uses, too."""
    peer = ranged(world)
    peer.do(new_elements(span("10.0.0.0/8", "ftp")))
    assert peer.errno(nft(raw.DELOBJ, raw.object_name("t", "ftp"))) == errno.EBUSY
