"""When ctherd's extension has done what it was asked: its calls return before.

Neutron has no use for that knowledge, so it is looked at from outside, in the event loop between
two of its steps, where nothing is half done.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from ctherd.agent.agent import Agent

_PATIENCE_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.0005

Condition = Callable[[], bool]


def wait(extension: Any, pulled: Condition) -> None:
    """Wait until the server was asked, which *pulled* tells, and the kernel is as it answered."""
    loop, agent = _running(extension)
    _in(loop, _settled(agent, pulled))


def look_everywhere(extension: Any) -> None:
    """Have the kernel asked what it has in every netns, as a sweep does, and wait for that."""
    loop, agent = _running(extension)

    async def look() -> None:
        agent.look_everywhere()
        await _settled(agent, lambda: True)

    _in(loop, look())


def _running(extension: Any) -> tuple[asyncio.AbstractEventLoop, Agent]:
    deadline_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline_s:
        if extension._enforcement is not None and extension._enforcement._running is not None:
            loop, agent = extension._enforcement._running
            return loop, agent
        time.sleep(_LOOK_AGAIN_S)
    raise AssertionError("the extension has not begun")


def _in(loop: asyncio.AbstractEventLoop, work: Any) -> None:
    asyncio.run_coroutine_threadsafe(work, loop).result(_PATIENCE_S)


async def _settled(agent: Agent, pulled: Condition) -> None:
    while not (pulled() and agent.source.in_sync and agent.queue.depth().due == 0):
        await asyncio.sleep(_LOOK_AGAIN_S)
