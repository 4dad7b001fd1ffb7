"""What the kernel refuses is told, and everything else happens."""

import errno
from collections.abc import Mapping

import pytest

from ctherd.model.assignment import ANY, AssignmentKey, Destinations
from ctherd.model.catalog import Protocol
from ctherd.ports import Committed
from tests.dataplane.contract import (
    FTP,
    FTP_2121,
    SIP,
    TFTP,
    TFTP_ON_TCP,
    V4,
    Router,
    create,
    whole,
)


@pytest.mark.parametrize("before", [{}, {SIP: ANY}, {SIP: V4}], ids=["new", "any", "prefix"])
def test_a_refused_helper_keeps_no_neighbour_out(
    either: Router, before: Mapping[AssignmentKey, Destinations]
) -> None:
    """The kernel lacks one helper: told with its errno, and everything else happens."""
    if before:
        either.converge(before)
    else:
        either.look()
    outcome = either.commit(create(FTP), create(TFTP_ON_TCP), create(TFTP, V4))
    assert isinstance(outcome, Committed)
    assert list(outcome.refused) == [TFTP_ON_TCP]
    refusal = outcome.refused[TFTP_ON_TCP]
    assert refusal.errno == errno.ENOENT and refusal.words
    assert either.state() == whole({**before, FTP: ANY, TFTP: V4})


def test_all_refused_leaves_nothing(either: Router) -> None:
    """No place is made for assignments that the kernel does not take."""
    either.look()
    outcome = either.commit(create(TFTP_ON_TCP))
    assert isinstance(outcome, Committed) and list(outcome.refused) == [TFTP_ON_TCP]
    assert not either.world.exists()


@pytest.mark.parametrize("before", [{}, {SIP: ANY}], ids=["new", "old"])
def test_a_refused_element_is_found_among_many(
    either: Router, before: Mapping[AssignmentKey, Destinations]
) -> None:
    """Elements travel together; the one that the kernel refuses is found, the rest happens."""
    if before:
        either.converge(before)
    else:
        either.look()
    rival = AssignmentKey(Protocol.TCP, 21, "sip")
    outcome = either.commit(create(FTP), create(TFTP), create(rival), create(FTP_2121))
    assert isinstance(outcome, Committed)
    assert list(outcome.refused) == [rival]
    assert either.state() == whole({**before, FTP: ANY, TFTP: ANY, FTP_2121: ANY})
