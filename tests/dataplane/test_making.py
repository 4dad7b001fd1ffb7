"""Assignments become true in one commit, whatever was there, and nothing else does."""

from collections.abc import Mapping, Sequence

import pytest

from ctherd.model.assignment import ANY, AssignmentKey, Destinations, collapse
from ctherd.model.catalog import Family, Protocol
from ctherd.model.observation import Ownership
from ctherd.plan.diff import Change, Verb
from tests.dataplane.contract import (
    FTP,
    FTP_2121,
    IRC,
    MIXED,
    OTHER_V4,
    SIP,
    TFTP,
    V4,
    V6,
    Router,
    create,
    delete,
    succeed,
    whole,
)

STATES: Sequence[Mapping[AssignmentKey, Destinations]] = (
    {FTP: ANY},
    {FTP: V4},
    {FTP: V6},
    {FTP: MIXED, FTP_2121: ANY},
    {FTP: OTHER_V4, TFTP: V6, SIP: ANY, IRC: V4},
    {AssignmentKey(Protocol.TCP, port, "ftp"): ANY for port in range(1, 2500)},
)


@pytest.mark.parametrize("desired", STATES, ids=range(len(STATES)))
def test_what_is_created_is_observed(
    either: Router, desired: Mapping[AssignmentKey, Destinations]
) -> None:
    """Whatever is committed is read back equal, with no damage, by one commit."""
    assert either.look().ownership is Ownership.ABSENT
    succeed(either.commit(*(create(key, scope) for key, scope in desired.items())))
    assert either.state() == whole(desired)


@pytest.mark.parametrize("after", STATES, ids=range(len(STATES)))
@pytest.mark.parametrize("before", STATES, ids=range(len(STATES)))
def test_every_state_leads_to_every_other(
    either: Router,
    before: Mapping[AssignmentKey, Destinations],
    after: Mapping[AssignmentKey, Destinations],
) -> None:
    """One commit leads from any state to any other, whichever maps come or go."""
    either.converge(before)
    either.converge(after)
    assert either.state() == whole(after)


def test_a_delta_makes_nothing_else_anew(either: Router) -> None:
    """Adding and removing one of many leaves everything else as it was."""
    either.converge({FTP: ANY, TFTP: ANY})
    before = either.world.contents()
    succeed(either.commit(create(SIP)))
    succeed(either.commit(delete(SIP)))
    assert either.world.contents() == before


def test_destinations_are_replaced(either: Router) -> None:
    """Old destinations go, new ones come, and those in both stay: in one commit."""
    either.converge({FTP: (*V4, *OTHER_V4)})
    succeed(either.commit(Change(Verb.REPLACE, FTP, None, collapse((*V4, *V6)))))
    assert either.state() == whole({FTP: MIXED})
    succeed(either.commit(Change(Verb.REPLACE, FTP, MIXED, ANY)))
    assert either.state() == whole({FTP: ANY})


def test_the_last_assignment_takes_the_place_along(either: Router) -> None:
    """Where nothing is assigned there is no place, so conntrack is not switched on for nothing."""
    either.converge({FTP: V4, TFTP: ANY})
    succeed(either.commit(delete(FTP), delete(TFTP)))
    assert not either.world.exists()
    assert either.state() == whole({})
    succeed(either.commit(create(TFTP)))
    assert either.state() == whole({TFTP: ANY})


def test_families_are_what_the_kernel_made(either: Router) -> None:
    """A helper that the kernel has for IPv4 only is told as such, at commit and on reading."""
    either.look()
    made = succeed(either.commit(create(FTP), create(IRC))).families
    expected = {("ftp", Protocol.TCP): frozenset(Family), ("irc", Protocol.TCP): {Family.IPV4}}
    assert made == expected
    assert either.look().families == expected
