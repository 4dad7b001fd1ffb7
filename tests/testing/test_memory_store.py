"""The powers of the store in memory that no real store has: faults on demand."""

import pytest

from ctherd.store.port import (
    ABSENT,
    Alive,
    Conflict,
    Disconnected,
    OutcomeUnknown,
    Unavailable,
)
from ctherd.testing.memory_store import Fault, MemoryStore
from tests.testing.contract_store.words import absent, attempt, put, write


async def test_a_commit_that_is_lost_before_it_happened() -> None:
    """The caller does not know; the outcome says that nothing happened, and a retry does it."""
    store = MemoryStore()
    store.plant(Fault.LOST_BEFORE)
    with pytest.raises(OutcomeUnknown):
        await store.commit([], [put("a")], write_id="w")
    assert await store.get("a") is None
    assert await store.outcome("w") is None
    revision = await store.commit([], [put("a")], write_id="w")
    assert await store.outcome("w") == revision


async def test_a_commit_whose_answer_is_lost() -> None:
    """It happened: the outcome tells its revision, and a retry does not do it again."""
    store = MemoryStore()
    store.plant(Fault.LOST_AFTER)
    with pytest.raises(OutcomeUnknown):
        await store.commit([absent("a")], [put("a")], write_id="w")
    revision = await store.outcome("w")
    assert revision is not None
    stored = await store.get("a")
    assert stored is not None and stored.revision == revision
    assert await store.commit([absent("a")], [put("a")], write_id="w") == revision


async def test_a_lost_answer_may_have_been_a_conflict() -> None:
    """Then nothing happened, and the outcome says so."""
    store = MemoryStore()
    await write(store, put("a"))
    store.plant(Fault.LOST_AFTER)
    with pytest.raises(OutcomeUnknown):
        await store.commit([absent("a")], [put("b")], write_id="w")
    assert await store.outcome("w") is None
    assert isinstance(await attempt(store, put("b"), expects=[absent("a")]), Conflict)


async def test_faults_are_met_in_their_order_and_once() -> None:
    """The next commit without one succeeds."""
    store = MemoryStore()
    store.plant(Fault.UNAVAILABLE)
    store.plant(Fault.LOST_BEFORE)
    with pytest.raises(Unavailable):
        await write(store, put("a"))
    with pytest.raises(OutcomeUnknown):
        await write(store, put("a"))
    assert await write(store, put("a")) == 1


async def test_a_store_that_is_away() -> None:
    """Every call says why, a commit does not happen, and planted faults wait."""
    store = MemoryStore()
    store.plant(Fault.LOST_AFTER)
    store.away = "the cable"
    for call in (
        store.epoch(),
        store.snapshot(),
        store.get("a"),
        store.page(""),
        write(store, put("a")),
        store.outcome("w"),
        store.compact(1),
    ):
        with pytest.raises(Unavailable, match="the cable"):
            await call
    store.away = ""
    assert await store.get("a") is None
    with pytest.raises(OutcomeUnknown):
        await write(store, put("a"))


async def test_a_watch_that_is_cut() -> None:
    """Those under way end; new ones work at once, or after reconnecting if that was asked for."""
    store = MemoryStore()
    watch = store.watch("", ABSENT)
    assert await anext(watch) == Alive(ABSENT)
    store.disconnect("the cable")
    with pytest.raises(Disconnected, match="the cable"):
        await anext(watch)
    assert await anext(store.watch("", ABSENT)) == Alive(ABSENT)
    store.disconnect("the cable", stay=True)
    with pytest.raises(Disconnected, match="the cable"):
        await anext(store.watch("", ABSENT))
    store.reconnect()
    assert await anext(store.watch("", ABSENT)) == Alive(ABSENT)


async def test_another_life() -> None:
    """It can be in any epoch, for those who must tell lives apart."""
    assert await MemoryStore(epoch=3).epoch() == 3
