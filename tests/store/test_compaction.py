"""The change log of a running server stays short."""

import asyncio
import logging

import pytest

from ctherd.store.compaction import Compaction
from ctherd.store.port import ABSENT, Compacted, Store
from ctherd.testing.memory_store import MemoryStore
from tests.testing.contract_store.words import put, seen, write


async def compacted(store: Store) -> int:
    """Wait until the store has forgotten its beginning; return how far."""
    async with asyncio.timeout(30):
        while True:
            try:
                await anext(store.watch("", ABSENT))
            except Compacted as error:
                return error.revision
            await asyncio.sleep(0.001)


async def test_what_is_old_is_forgotten_while_it_runs() -> None:
    """Again and again, the last commits excepted."""
    store = MemoryStore()
    compaction = Compaction(store, keep=3, every_s=0.001)
    compaction.start()
    revisions = [await write(store, put("a", str(n))) for n in range(10)]
    async with asyncio.timeout(30):
        while await compacted(store) < revisions[6]:
            await asyncio.sleep(0.001)
    assert len(await seen(store, revisions[-1], since=revisions[6])) == 3
    await compaction.close()


async def test_it_outlives_a_store_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """It waits for better times, and does not shout: others do."""
    caplog.set_level(logging.DEBUG, "ctherd.store")
    store = MemoryStore()
    store.away = "the cable"
    compaction = Compaction(store, keep=0, every_s=0.001)
    compaction.start()
    async with asyncio.timeout(30):
        while not caplog.records:
            await asyncio.sleep(0.001)
    store.away = ""
    await write(store, put("a"))
    assert await compacted(store) > 0
    await compaction.close()
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


async def test_closing_ends_it() -> None:
    """Nothing is forgotten afterwards, and one that was never started may be closed."""
    store = MemoryStore()
    compaction = Compaction(store, keep=0, every_s=0.0)
    await compaction.close()
    compaction.start()
    await asyncio.sleep(0)
    await compaction.close()
    last = await write(store, put("a"))
    assert len(await seen(store, last)) == 1


async def test_a_mistake_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback, and tried again."""
    store = MemoryStore()
    compact = store.compact

    async def broken(keep: int) -> object:
        monkeypatch.setattr(store, "compact", compact)
        raise ZeroDivisionError

    monkeypatch.setattr(store, "compact", broken)
    compaction = Compaction(store, keep=0, every_s=0.001)
    compaction.start()
    await write(store, put("a"))
    assert await compacted(store) > 0
    await compaction.close()
    assert [record.exc_info is not None for record in caplog.records] == [True]
