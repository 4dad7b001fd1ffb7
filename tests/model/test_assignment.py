"""Assignments, prefixes and their destinations."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import InvalidDeclaration
from ctherd.model.assignment import (
    ANY,
    Assignment,
    AssignmentId,
    AssignmentKey,
    Destinations,
    collapse,
    families_of,
    overlap,
    parse_prefix,
)
from ctherd.model.catalog import Family, Protocol
from tests.model.strategies import assignments, destinations, v4_prefixes, v6_prefixes


def make(helper: str, protocol: Protocol, port: int = 21, *prefixes: str) -> Assignment:
    return Assignment(
        AssignmentId("a"), helper, protocol, port, tuple(ip_network(each) for each in prefixes)
    )


def test_an_alias_stays_visible_but_its_key_has_the_kernels_name() -> None:
    """Declared h323 on tcp is Q.931 to the kernel and h323 to its author."""
    made = make("h323", Protocol.TCP, 1720)
    assert made.helper == "h323"
    assert made.key == AssignmentKey(Protocol.TCP, 1720, "Q.931")
    assert make("h323", Protocol.UDP, 1719).key.helper == "RAS"


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_port_outside_of_1_to_65535_is_refused(port: int) -> None:
    """No assignment has a port that no packet can have."""
    with pytest.raises(InvalidDeclaration, match="not between 1 and 65535"):
        make("ftp", Protocol.TCP, port)


def test_an_ipv6_destination_of_an_ipv4_only_helper_is_refused() -> None:
    """The irc helper does not exist for IPv6, so nobody may believe that it works there."""
    with pytest.raises(InvalidDeclaration, match="IPv4 only"):
        make("irc", Protocol.TCP, 6667, "2001:db8::/64")


@given(assignments())
def test_families_are_what_the_helper_serves_and_the_destinations_leave(made: Assignment) -> None:
    """Without destinations all of the helper's families, with some those that they are of."""
    versions = {prefix.version for prefix in made.destinations} or {4, 6}
    served = families_of(made.key, ANY)
    for family, version in ((Family.IPV4, 4), (Family.IPV6, 6)):
        assert (family in made.families) == (family in served and version in versions)


@given(st.lists(v4_prefixes() | v6_prefixes(), max_size=8))
def test_collapsing_keeps_every_address_and_no_overlap(given_: list) -> None:  # type: ignore[type-arg]
    """The same addresses, sorted, IPv4 first, no prefix in another; collapsing again is nothing."""
    collapsed = collapse(given_)
    addresses = {address for prefix in given_ for address in prefix}
    assert [address for prefix in collapsed for address in prefix] == sorted(
        addresses, key=lambda address: (address.version, int(address))
    )
    assert collapse(collapsed) == collapsed


@given(destinations(), destinations())
def test_overlap_means_a_shared_address(one: Destinations, other: Destinations) -> None:
    """Two destinations overlap exactly if some address is in both; ANY has every address."""
    shared = {a for p in one for a in p} & {a for p in other for a in p}
    assert overlap(one, other) == (not one or not other or bool(shared))
    assert overlap(one, other) == overlap(other, one)


def test_overlap_of_many_prefixes_is_not_quadratic() -> None:
    """Ten thousand disjoint prefixes on each side are compared in steps, not in pairs."""
    even = tuple(ip_network((i * 2, 32)) for i in range(10_000))
    odd = tuple(ip_network((i * 2 + 1, 32)) for i in range(10_000))
    assert not overlap(even, odd)  # 10^8 comparisons would run into the test's time limit


@pytest.mark.parametrize(
    "text", ["203.0.113.1/24", "x", "", "1.2.3", "::1/129", "10.0.0.0/33", "fe80::1%eth0"]
)
def test_what_is_no_prefix_is_refused_with_an_example(text: str) -> None:
    """Host bits, letters and impossible lengths are refused; the error shows how to write one."""
    with pytest.raises(InvalidDeclaration, match=r"203\.0\.113\.0/24"):
        parse_prefix(text)


@pytest.mark.parametrize("text", ["203.0.113.1", "203.0.113.0/24", "2001:db8::1", "::/0"])
def test_addresses_and_prefixes_are_read(text: str) -> None:
    """An address is the prefix of its full length."""
    assert parse_prefix(text) == ip_network(text)
