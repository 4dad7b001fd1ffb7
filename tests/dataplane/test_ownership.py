"""Whose the place of our name is."""

import pytest

from ctherd.model.observation import Observation, Ownership
from ctherd.ports import Moved, ObserveRequest
from tests.dataplane.contract import FTP, OTHER_TAG, Router, create


@pytest.mark.parametrize("comment", ["", "ours, honestly", "ctherd", OTHER_TAG])
def test_a_place_without_our_mark_is_foreign(either: Router, comment: str) -> None:
    """No mark, or a forged one: it is told who has the place, and nothing is touched."""
    world = either.world
    world.squat(comment)
    before = world.contents()
    seen = either.look()
    assert (seen.ownership, dict(seen.live), seen.damage) == (Ownership.FOREIGN, {}, ())
    assert seen.holder == world.holder(comment if comment == OTHER_TAG else "")
    for repair in (False, True):
        assert either.commit(create(FTP), repair=repair, claim=repair) == Moved(world.netns)
    assert world.contents() == before


def test_without_a_tag_everything_is_foreign(either: Router) -> None:
    """Who never marked anything here owns nothing here, not even what bears some mark."""
    world = either.world
    world.squat(world.tag)
    (answer,) = either.dataplane.observe([ObserveRequest(world.netns, None)])
    assert isinstance(answer, Observation) and answer.ownership is Ownership.FOREIGN
    assert answer.mark == world.tag
