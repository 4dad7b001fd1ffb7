"""A server and hosts that follow it, all in one event loop."""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 20.0


async def becomes(state: Callable[[], object]) -> bool:
    """Wait on a state, bounded."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not state():
        if time.monotonic() > give_up_s:
            return False
        await asyncio.sleep(0.005)
    return True
