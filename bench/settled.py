"""When ctherd's extension has done what it was asked: its calls return before.

Neutron has no use for that knowledge, so it is looked at from outside, in the event loop between
two of its steps, where nothing is half done.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ctherd.agent.agent import Agent
from ctherd.model.document import Document, NetnsName

_PATIENCE_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.0005


class Watched:
    """An extension of which it is known when it is done."""

    def __init__(self, extension: Any) -> None:
        self._extension = extension
        self._agent: Agent | None = None
        self._given: set[NetnsName] = set()

    def expect(self) -> None:
        """Count only what the agent is given from now on."""
        self._given.clear()

    def wait(self, wanted: Mapping[NetnsName, int]) -> None:
        """Wait until the agent was given so many helpers in each netns, and has made them true."""
        loop, agent = self._running()
        _in(loop, self._settled(agent, wanted))
        self._watch(agent)

    def look_everywhere(self) -> None:
        """Have the kernel asked what it has in every netns, as a sweep does, and wait for that."""
        loop, agent = self._running()

        async def look() -> None:
            agent.look_everywhere()
            await self._settled(agent, {})

        _in(loop, look())

    def _running(self) -> tuple[asyncio.AbstractEventLoop, Agent]:
        deadline_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline_s:
            enforcement = self._extension._enforcement
            if enforcement is not None and enforcement._running is not None:
                loop, agent = enforcement._running
                return loop, agent
            time.sleep(_LOOK_AGAIN_S)
        raise AssertionError("the extension has not begun")

    def _watch(self, agent: Agent) -> None:
        """Hear of what the agent is given, from the first time on that it had done everything."""
        if self._agent is agent:
            return
        self._agent, accept = agent, agent.accept

        def heard(documents: Iterable[Document], *, complete: bool = True) -> set[NetnsName]:
            given = list(documents)
            self._given |= {each.netns for each in given}
            return accept(given, complete=complete)

        agent.accept = heard  # type: ignore[method-assign]

    async def _settled(self, agent: Agent, wanted: Mapping[NetnsName, int]) -> None:
        while not self._is_settled(agent, wanted):
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _is_settled(self, agent: Agent, wanted: Mapping[NetnsName, int]) -> bool:
        if any(agent.queue.depth()) or not agent.source.in_sync:
            return False
        if self._agent is agent and not wanted.keys() <= self._given:
            return False
        return all(_helpers(agent, netns) == count for netns, count in wanted.items())


def _helpers(agent: Agent, netns: NetnsName) -> int:
    entry = agent.service.reconciler.entries.get(netns)
    return len(entry.document.assignments) if entry and entry.document else 0


def _in(loop: asyncio.AbstractEventLoop, work: Any) -> None:
    asyncio.run_coroutine_threadsafe(work, loop).result(_PATIENCE_S)
