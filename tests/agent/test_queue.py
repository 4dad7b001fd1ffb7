"""The queue of netns to look at: the earliest moment counts, and many at once cost no more each."""

import asyncio
from collections.abc import Callable

from ctherd.agent.queue import Queue
from ctherd.model.document import NetnsName

A, B = NetnsName("a"), NetnsName("b")


class Worker:
    """Takes what is due, as the agent does."""

    def __init__(self, held: Callable[[NetnsName], bool] = lambda _: False) -> None:
        self.asked = 0
        self.taken: list[NetnsName] = []
        self.came = asyncio.Event()
        self._is_held = held
        self.queue = Queue(self._work, self._held)

    def _held(self, netns: NetnsName) -> bool:
        self.asked += 1
        return self._is_held(netns)

    def _work(self) -> None:
        self.taken += self.queue.take(1000)
        self.queue.wake()
        self.came.set()


async def test_who_shall_be_looked_at_at_once_does_not_wait_for_who_came_before() -> None:
    """A netns that waits for long keeps no other from its moment, and is asked for again sooner."""
    worker = Worker()
    worker.queue.put(A, 3600.0)
    worker.queue.put(B)
    await worker.came.wait()
    assert worker.taken == [B]
    worker.came.clear()
    worker.queue.put(A)
    await worker.came.wait()
    assert worker.taken == [B, A]


async def test_what_is_due_later_has_its_turn_after_what_is_due_now() -> None:
    """The clock is set again after work, for what still waits."""
    worker = Worker()
    worker.queue.put(A)
    worker.queue.put(B, 0.05)
    while len(worker.taken) < 2:
        worker.came.clear()
        await worker.came.wait()
    assert worker.taken == [A, B]


async def test_what_is_held_waits_until_it_is_not() -> None:
    """What is held rings no clock; ``wake`` does when it may go on."""
    held = {A}
    worker = Worker(held.__contains__)
    worker.queue.put(A)
    worker.queue.put(B)
    await worker.came.wait()
    assert B in worker.taken
    worker.queue.put(A)
    worker.came.clear()
    held.clear()
    worker.queue.wake()
    await worker.came.wait()
    assert worker.taken[-1] == A


async def test_a_thousand_at_once_are_not_gone_through_for_each_of_them() -> None:
    """What one costs does not depend on how many wait."""
    worker = Worker()
    for number in range(1000):
        worker.queue.put(NetnsName(str(number)))
    await worker.came.wait()
    assert len(worker.taken) == 1000
    assert worker.asked < 5000


async def test_who_was_looked_at_meanwhile_is_not_looked_at_again() -> None:
    """What is dropped is due no more; what else waits still is."""
    worker = Worker()
    worker.queue.put(A)
    worker.queue.put(B)
    worker.queue.drop([A, NetnsName("never asked for")])
    await worker.came.wait()
    assert worker.taken == [B]
    assert worker.queue.depth() == (0, 0)
