"""When to look at which netns: one entry each, the earliest moment counts.

What waits is coalesced: however often a netns is asked for, it is looked at once.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from ctherd.model.document import NetnsName

_NEVER_S: Final = float("inf")


class QueueDepth(NamedTuple):
    """How many netns are to be looked at.

    Shape: *due* are looked at as soon as the agent comes to it; *waiting* ones failed, or are
    fought over, and are left alone for a while.
    """

    due: int
    waiting: int


class Queue:
    """The netns to look at, each at its moment.

    Shape: *work* is called in the event loop when something is due; what is *held* waits until
    somebody calls ``wake``.
    """

    def __init__(self, work: Callable[[], None], held: Callable[[NetnsName], bool]) -> None:
        self._work = work
        self._held = held
        self._due: dict[NetnsName, float] = {}
        self._wakeup: asyncio.TimerHandle | None = None
        self._rings_s = _NEVER_S

    def put(self, netns: NetnsName, delay_s: float = 0.0) -> None:
        """Have *netns* looked at after *delay_s*, unless it will be sooner."""
        due_s = time.monotonic() + delay_s
        if due_s < self._due.get(netns, _NEVER_S):
            self._due[netns] = due_s
            # Going through all that waits, for each one that comes, would be quadratic.
            if due_s < self._rings_s and not self._held(netns):
                self._ring_at(due_s)

    def put_back(self, names: Iterable[NetnsName]) -> None:
        """Have *names*, which are held, looked at as soon as they are not."""
        self._due.update(dict.fromkeys(names, time.monotonic()))

    def take(self, most: int) -> list[NetnsName]:
        """Return what is due now, the first *most* of it, and forget that it was asked for."""
        now_s = time.monotonic()
        names = [netns for netns, due_s in self._due.items() if due_s <= now_s][:most]
        for netns in names:
            del self._due[netns]
        return names

    def drop(self, names: Iterable[NetnsName]) -> None:
        """Forget that *names* were asked for: they are looked at right now."""
        for netns in names:
            self._due.pop(netns, None)

    def wake(self) -> None:
        """Set the clock for what is due next."""
        due_s = min(
            (at for netns, at in self._due.items() if not self._held(netns)), default=_NEVER_S
        )
        if due_s < _NEVER_S:
            self._ring_at(due_s)

    def _ring_at(self, due_s: float) -> None:
        if self._wakeup is not None:
            self._wakeup.cancel()
        wait_s = max(0.0, due_s - time.monotonic())
        self._wakeup = asyncio.get_running_loop().call_later(wait_s, self._ring)
        self._rings_s = due_s

    def _ring(self) -> None:
        self._rings_s = _NEVER_S
        self._work()

    def depth(self) -> QueueDepth:
        """Say how much there is to do."""
        now_s = time.monotonic()
        due = sum(due_s <= now_s for due_s in self._due.values())
        return QueueDepth(due, len(self._due) - due)
