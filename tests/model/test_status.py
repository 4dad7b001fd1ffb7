"""Status: family verdicts summed up."""

import pytest

from ctherd.model.assignment import ANY, AssignmentKey
from ctherd.model.catalog import Family, Protocol
from ctherd.model.status import AssignmentStatus, State, Verdict

KEY = AssignmentKey(Protocol.TCP, 21, "ftp")


@pytest.mark.parametrize("state", State)
def test_equal_verdicts_are_the_overall_one(state: State) -> None:
    """What holds in both families holds overall, with its reason."""
    verdict = Verdict(state, "because")
    status = AssignmentStatus(KEY, ANY, {Family.IPV4: verdict, Family.IPV6: verdict})
    assert status.overall == verdict


def test_unequal_verdicts_make_partial_and_name_the_bad_family() -> None:
    """Half a success says which half is missing and why."""
    status = AssignmentStatus(
        KEY,
        ANY,
        {Family.IPV4: Verdict(State.ACTIVE), Family.IPV6: Verdict(State.ERROR, "no module")},
    )
    assert status.overall == Verdict(State.PARTIAL, "ipv6: error no module")


def test_without_any_verdict_an_assignment_is_pending() -> None:
    """What nobody has looked at yet is neither good nor bad."""
    assert AssignmentStatus(KEY, ANY).overall == Verdict(State.PENDING)
