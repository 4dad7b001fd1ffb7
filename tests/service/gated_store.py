"""A store whose commits tests hold up, break and set free."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ctherd.store.port import Conflict, Expect, Revision, Unavailable, Write
from ctherd.testing.memory_store import MemoryStore
from tests.service.committing import Bench


class GatedStore(MemoryStore):
    """A store whose commits wait at a gate, and which may break in a way that no port allows."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Event()
        self.broken = False
        self.mute = False

    async def commit(
        self, expects: Sequence[Expect], writes: Sequence[Write], *, write_id: str
    ) -> Revision | Conflict:
        self.arrived.set()
        await self.open.wait()
        if self.broken:
            raise RuntimeError("a bug in the store")
        return await super().commit(expects, writes, write_id=write_id)

    async def outcome(self, write_id: str) -> Revision | None:
        self.arrived.set()
        if self.mute:
            raise Unavailable("it cannot be asked now")
        return await super().outcome(write_id)


async def held_at_the_gate(
    made: Bench, store: GatedStore, start: Callable[[], Awaitable[Any]]
) -> asyncio.Task[Any]:
    """Return what *start* began, when its commit stands at the closed gate."""
    while not await made.audit_keys():
        await asyncio.sleep(0)  # The start of the chain is on its way.
    store.open.clear()
    store.arrived.clear()
    task = asyncio.ensure_future(start())
    await store.arrived.wait()
    return task
