"""When the kernel is read again, and when a commit comes too late."""

from ctherd.model.assignment import ANY
from ctherd.model.observation import Observation, Ownership, Unchanged
from ctherd.ports import Moved
from tests.dataplane.contract import FTP, TFTP, Router, create, succeed, whole


def test_nothing_new_is_not_read_again(either: Router) -> None:
    """At a known generation the answer is Unchanged, also right after a commit."""
    either.look()
    generation = succeed(either.commit(create(FTP))).generation
    assert either.ask(generation) == Unchanged(either.world.netns, generation)


def test_an_unguarded_place_is_read_again(unguarded: Router) -> None:
    """Without the guard any commit may have been a change to our place."""
    unguarded.converge({FTP: ANY})
    generation = unguarded.look().generation
    unguarded.world.touch()
    assert isinstance(unguarded.ask(generation), Observation)


def test_an_unguarded_commit_that_comes_late_does_nothing(unguarded: Router) -> None:
    """Somebody else committed since the observation: Moved, and the ruleset is as it was."""
    unguarded.converge({FTP: ANY})
    unguarded.look()
    before = unguarded.world.contents()
    unguarded.world.touch()
    assert unguarded.commit(create(TFTP)) == Moved(unguarded.world.netns)
    assert unguarded.world.contents() == before
    unguarded.look()
    succeed(unguarded.commit(create(TFTP)))
    assert unguarded.state() == whole({FTP: ANY, TFTP: ANY})


def test_a_first_commit_needs_no_generation(either: Router) -> None:
    """The creation is exclusive, so that unrelated commits do not stand in its way."""
    either.look()
    either.world.touch()
    succeed(either.commit(create(FTP)))
    assert either.state() == whole({FTP: ANY})


def test_a_place_that_came_in_between_is_not_touched(either: Router) -> None:
    """Somebody made a place of our name after we looked: Moved, and theirs stays."""
    either.look()
    either.world.squat("theirs")
    assert either.commit(create(FTP)) == Moved(either.world.netns)
    assert either.look().ownership is Ownership.FOREIGN


def test_a_plan_of_an_old_observation_is_not_carried_out(unguarded: Router) -> None:
    """A transaction names the observation that it was planned from."""
    old = unguarded.look().generation
    unguarded.world.touch()
    unguarded.look()
    assert unguarded.commit(create(FTP), at=old) == Moved(unguarded.world.netns)
