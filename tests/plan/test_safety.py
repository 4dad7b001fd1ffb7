"""When a change of the desired state removes so much that somebody has to confirm it."""

import pytest

from ctherd.model.assignment import ANY, AssignmentKey, Destinations
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName
from ctherd.plan.safety import Limits, danger

State = dict[AssignmentKey, Destinations]


def router(ports: int) -> State:
    return {AssignmentKey(Protocol.TCP, port, "ftp"): ANY for port in range(1, ports + 1)}


def herd(*sizes: int) -> dict[NetnsName, State]:
    return {NetnsName(f"q{index}"): router(size) for index, size in enumerate(sizes)}


@pytest.mark.parametrize(
    ("managed", "desired", "dangerous"),
    [
        (20, 10, False),  # as many as the count allows
        (20, 9, True),
        (100, 70, False),  # the share allows more than the count
        (100, 69, True),
        (5, 0, False),  # one small router may go as a whole
        (11, 0, True),
        (0, 50, False),
    ],
)
def test_more_than_the_count_and_the_share_is_dangerous(
    managed: int, desired: int, dangerous: bool
) -> None:
    """Ten assignments or thirty percent may go unasked, whichever is more."""
    found = danger(herd(desired), herd(managed), Limits())
    assert (found is not None) == dangerous


def test_several_routers_that_lose_everything_are_dangerous_however_small() -> None:
    """A file that was cut off loses its last routers; routers that had nothing do not count."""
    found = danger(herd(5), herd(5, 1, 1), Limits())
    assert found is not None
    assert found.emptied == ("q1", "q2")
    assert "2 of 7 assignments" in str(found)
    assert "2 routers would lose all" in str(found)
    assert danger(herd(5), herd(5, 1, 0, 0), Limits()) is None


def test_limits_of_zero_make_every_removal_dangerous_and_no_addition() -> None:
    """Who wants to confirm everything can."""
    strict = Limits(count=0, share=0.0)
    assert danger(herd(4), herd(5), strict) is not None
    assert danger(herd(6), herd(5), strict) is None


def test_changed_destinations_remove_nothing() -> None:
    """A replaced assignment still helps."""
    scoped = herd(50)
    changed = {netns: dict.fromkeys(had, ANY) for netns, had in scoped.items()}
    assert danger(changed, scoped, Limits(count=0, share=0.0)) is None
