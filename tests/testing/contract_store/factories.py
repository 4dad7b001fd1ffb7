"""The stores that keep the contract: a clustered one joins with one more factory."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ctherd.store.measured import MeasuredStore
from ctherd.store.port import Store
from ctherd.store.sqlite import STORE_FILE, SqliteStore
from ctherd.testing.memory_store import MemoryStore

ALIVE_S: Final = 0.02
"""Tests wait for Alive: it must come soon."""

Factory = Callable[[], AbstractAsyncContextManager[Store]]
"""Makes a new and empty store, and closes it at the end."""


@asynccontextmanager
async def memory() -> AsyncIterator[Store]:
    store = MemoryStore(alive_s=ALIVE_S)
    yield store
    await store.close()


@asynccontextmanager
async def sqlite() -> AsyncIterator[Store]:
    with TemporaryDirectory() as directory:
        store = await SqliteStore.open(Path(directory) / STORE_FILE, alive_s=ALIVE_S)
        yield store
        await store.close()


@asynccontextmanager
async def measured() -> AsyncIterator[Store]:
    async with memory() as store:
        yield MeasuredStore(store)


FACTORIES: Final[Mapping[str, Factory]] = {
    "memory": memory,
    "sqlite": sqlite,
    "measured": measured,
}
