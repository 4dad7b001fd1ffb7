"""Documents, and the assignments that exclude each other."""

from dataclasses import FrozenInstanceError
from ipaddress import ip_network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import InvalidDeclaration
from ctherd.model.assignment import Assignment, AssignmentId, overlap
from ctherd.model.catalog import Protocol
from ctherd.model.document import document
from tests.model.strategies import assignments


def make(helper: str, *prefixes: str, protocol: Protocol = Protocol.TCP) -> Assignment:
    return Assignment(
        AssignmentId(helper), helper, protocol, 21, tuple(ip_network(each) for each in prefixes)
    )


def test_desired_is_the_same_state_by_key() -> None:
    """What the planner compares is what was declared, in the order of declaration."""
    first, second = make("irc", "192.0.2.0/25"), make("ftp", "2001:db8::/64")
    made = document("edge", "q1", [first, second])
    assert list(made.assignments.values()) == [first, second]
    assert list(made.desired.items()) == [
        (first.key, first.destinations),
        (second.key, second.destinations),
    ]


def test_a_document_cannot_be_changed() -> None:
    """Values are frozen through and through: what was planned stays what was declared."""
    source = {AssignmentId("ftp"): make("ftp")}
    made = document("edge", "q1", source.values())
    with pytest.raises(TypeError):
        made.assignments[AssignmentId("x")] = make("irc")  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        made.router = "other"  # type: ignore[misc,assignment]


def test_one_id_twice_is_refused() -> None:
    """An id names one assignment."""
    with pytest.raises(InvalidDeclaration, match="declared twice"):
        document("edge", "q1", [make("ftp"), make("ftp")])


def test_two_helpers_on_one_port_are_refused_by_both_names() -> None:
    """Only one could ever see a packet, so the author has to choose."""
    with pytest.raises(InvalidDeclaration, match=r"helper irc, but ftp has it"):
        document("edge", "q1", [make("ftp"), make("irc", "192.0.2.0/24")])


def test_an_alias_and_its_helper_are_the_same_helper() -> None:
    """h323 and Q.931 on one tcp port are one assignment declared twice."""
    with pytest.raises(InvalidDeclaration, match="twice"):
        document("edge", "q1", [make("Q.931"), make("h323")])


@given(st.lists(assignments(), max_size=5, unique_by=lambda each: each.id))
def test_a_document_exists_exactly_if_no_packet_has_two_helpers(given_: list[Assignment]) -> None:
    """Pairs on one port of one protocol must not overlap; all others are free."""
    clash = any(
        (one.protocol, one.port) == (other.protocol, other.port)
        and (one.key == other.key or overlap(one.destinations, other.destinations))
        for one, other in combinations(given_, 2)
    )
    try:
        made = document("edge", "q1", given_)
    except InvalidDeclaration:
        assert clash
    else:
        assert not clash
        assert len(made.desired) == len(given_)
