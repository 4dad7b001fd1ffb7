"""Which routers there are, where they live, and which to look at: written by any thread."""

import threading
from uuid import uuid4

from ctherd.model.document import NetnsName, RouterId
from ctherd.neutron.roster import Due, Roster

A, B = RouterId(str(uuid4())), RouterId(str(uuid4()))
AT_A, AT_B = NetnsName(f"qrouter-{A}"), NetnsName(f"qrouter-{B}")


def test_a_router_is_looked_at_once_however_often_it_is_called_for() -> None:
    roster = Roster()
    for _ in range(3):
        roster.lives(A, AT_A)
        roster.call_for([A])
    roster.lives(B, AT_B)
    assert roster.take() == Due([A, B], [])
    assert roster.take() == Due([], [])


def test_nobody_is_called_that_is_not_here() -> None:
    """A push for a router of another host, or of none, is nothing."""
    roster = Roster()
    roster.lives(A, AT_A)
    roster.take()
    roster.call_for([B, RouterId("a\nb"), RouterId("")])
    assert roster.take() == Due([], [])


def test_a_router_that_leaves_is_withdrawn_and_not_looked_at() -> None:
    roster = Roster()
    roster.lives(A, AT_A)
    roster.leaves(A)
    roster.call_for([A])
    assert roster.take() == Due([], [AT_A])


def test_a_router_that_moves_leaves_its_old_netns() -> None:
    """A distributed router whose gateway goes elsewhere, or a router that becomes distributed."""
    roster, snat = Roster(), NetnsName(f"snat-{A}")
    roster.lives(A, AT_A)
    roster.lives(A, snat)
    assert roster.take() == Due([A], [AT_A])
    roster.lives(A, None)
    assert roster.take() == Due([], [snat])


def test_a_router_that_comes_back_is_not_withdrawn() -> None:
    roster = Roster()
    roster.lives(A, AT_A)
    roster.leaves(A)
    roster.lives(A, AT_A)
    assert roster.take() == Due([A], [])


def test_what_is_remembered_does_not_override_what_the_agent_says() -> None:
    roster, snat = Roster(), NetnsName(f"snat-{A}")
    roster.lives(A, snat)
    roster.remember(A, AT_A)
    assert roster.home_of(A) == snat
    roster.forget(A)
    assert roster.home_of(A) == snat


def test_what_is_remembered_is_looked_at_and_can_be_forgotten() -> None:
    roster = Roster()
    roster.remember(A, AT_A)
    assert not roster.is_announced(A)
    assert roster.everybody() == [A]
    roster.forget(A)
    assert roster.take() == Due([], [])


def test_who_begins_late_is_told_at_once() -> None:
    """What Neutron said before the loop began, or while it began again, waits for it."""
    roster, told = Roster(), threading.Event()
    roster.lives(A, AT_A)
    roster.tell(told.set)
    assert told.is_set()
    assert roster.take() == Due([A], [])


def test_nothing_is_lost_between_threads() -> None:
    roster = Roster()
    ids = [RouterId(str(uuid4())) for _ in range(400)]

    def announce(some: list[RouterId]) -> None:
        for each in some:
            roster.lives(each, NetnsName(f"qrouter-{each}"))

    threads = [threading.Thread(target=announce, args=(ids[n::8],)) for n in range(8)]
    for each in threads:
        each.start()
    found: set[RouterId] = set()
    while any(each.is_alive() for each in threads):
        found.update(roster.take().routers)
    found.update(roster.take().routers)
    assert found == set(ids)


def test_who_looks_is_told_once_until_he_looked() -> None:
    """Two hundred routers wake a thread once; what comes after it looked wakes it again."""
    roster, told = Roster(), list[int]()
    roster.tell(lambda: told.append(1))
    for _ in range(3):
        roster.lives(A, AT_A)
        roster.leaves(A)
    assert len(told) == 1
    roster.take()
    roster.lives(A, AT_A)
    roster.call_for([A])
    assert len(told) == 2
    roster.tell(lambda: told.append(2))
    assert told == [1, 1, 2], "a new listener is told of what the last one did not take"
