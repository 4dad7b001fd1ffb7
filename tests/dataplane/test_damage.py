"""Whatever is not planned in our place, or missing, is named and healed."""

import pytest

from ctherd.model.assignment import ANY
from ctherd.model.observation import Ownership
from tests.dataplane.contract import FTP, FTP_2121, TFTP, V4, Router, succeed, whole


def test_damage_is_named_and_healed_by_one_commit(unguarded: Router) -> None:
    """What is not planned, or missing, is told in words; one commit leaves only the plan."""
    desired = {FTP: ANY, TFTP: V4}
    for what, damage in unguarded.world.vandalism.items():
        unguarded.converge(desired)
        damage()
        assert unguarded.look().damage != (), what
        succeed(unguarded.converge(desired))
        assert unguarded.state() == whole(desired)


@pytest.mark.parametrize("hook", ["prerouting", "output"])
def test_a_lost_hook_means_that_nothing_works(unguarded: Router, hook: str) -> None:
    """Assignments have no effect where no packet comes by: they do not count as live."""
    desired = {FTP: ANY, TFTP: V4}
    unguarded.converge(desired)
    unguarded.world.unhook(hook)
    seen = unguarded.look()
    assert dict(seen.live) == {}
    assert any(hook in damage.lower() for damage in seen.damage)
    succeed(unguarded.converge(desired))
    assert unguarded.state() == whole(desired)


def test_a_lost_assignment_is_an_absent_assignment(unguarded: Router) -> None:
    """It is no damage: the plan makes the assignment again, and nothing else."""
    unguarded.converge({FTP: ANY, TFTP: V4})
    unguarded.world.take_out(FTP)
    assert dict(unguarded.look().live) == {TFTP: V4}
    succeed(unguarded.converge({FTP: ANY, TFTP: V4}))
    assert unguarded.state() == whole({FTP: ANY, TFTP: V4})


def test_an_added_assignment_is_a_live_assignment(unguarded: Router) -> None:
    """Somebody else's assignment in our place works, so it is observed, and can be removed."""
    unguarded.converge({FTP: ANY})
    unguarded.world.put_in(FTP_2121)
    assert dict(unguarded.look().live) == {FTP: ANY, FTP_2121: ANY}
    succeed(unguarded.converge({FTP: ANY}))
    assert unguarded.state() == whole({FTP: ANY})


def test_a_deleted_place_is_made_again(unguarded: Router) -> None:
    """The bluntest damage of all."""
    unguarded.converge({FTP: ANY, TFTP: V4})
    unguarded.world.destroy()
    assert unguarded.look().ownership is Ownership.ABSENT
    succeed(unguarded.converge({FTP: ANY, TFTP: V4}))
    assert unguarded.state() == whole({FTP: ANY, TFTP: V4})
