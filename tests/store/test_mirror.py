"""The mirror: never wrong about the past, honest about the present."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.store.mirror import Mirror
from ctherd.store.port import (
    Batch,
    Disconnected,
    Event,
    Revision,
    Stored,
    Unavailable,
)
from ctherd.store.shelf import Shelf
from ctherd.testing.memory_store import MemoryStore
from tests.testing.contract_store.factories import FACTORIES
from tests.testing.contract_store.words import delete, put, write

PREFIXES = ("router/", "doc/")


@asynccontextmanager
async def mirroring(store: MemoryStore, *prefixes: str) -> AsyncIterator[Mirror]:
    mirror = Mirror(store, prefixes or PREFIXES, longest_wait_s=0.02)
    await mirror.start()
    yield mirror
    await mirror.close()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(alive_s=0.02)


async def soon(fact: Callable[[], object]) -> None:
    """Wait until *fact* is true, as the event loop goes round."""
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0.001)


def keys(mirror: Mirror, prefix: str = "") -> list[str]:
    return [each.key for each in mirror.under(prefix)]


class Listener:
    """What a subscriber was told, and what the mirror had then."""

    def __init__(self, mirror: Mirror) -> None:
        self.events: list[Event] = []
        self.revisions: list[Revision] = []
        self._mirror = mirror
        self.leave = mirror.subscribe(self._hear)

    def _hear(self, batch: Batch) -> None:
        assert self._mirror.revision == batch.revision
        for key, value, revision in {event.key: event for event in batch.events}.values():
            expected = None if value is None else Stored(key, value, revision)
            assert self._mirror.get(key) == expected
        self.events += batch.events
        self.revisions.append(batch.revision)


async def test_it_starts_with_what_there_is(store: MemoryStore) -> None:
    """Every key with its prefixes, and no other."""
    revision = await write(store, put("router/b", "1"), put("router/a"), put("audit/1"))
    async with mirroring(store) as mirror:
        assert keys(mirror) == ["router/a", "router/b"]
        assert mirror.get("router/b") == Stored("router/b", b"1", revision)
        assert mirror.get("audit/1") is None
        assert mirror.revision == revision
        assert not mirror.stale


async def test_it_reads_what_you_wrote(store: MemoryStore) -> None:
    """After the revision of a commit is reached, the mirror has what it wrote and not what it
    deleted."""
    async with mirroring(store) as mirror:
        first = await write(store, put("router/a", "1"), put("router/b"))
        await mirror.reached(first)
        assert keys(mirror) == ["router/a", "router/b"]
        second = await write(store, put("router/a", "2"), delete("router/b"))
        await mirror.reached(second)
        assert mirror.under("") == [Stored("router/a", b"2", second)]


async def test_a_commit_of_foreign_keys_is_reached_too(store: MemoryStore) -> None:
    """Whoever writes nothing but an audit entry need not know what the mirror covers."""
    async with mirroring(store) as mirror:
        listener = Listener(mirror)
        revision = await write(store, put("audit/1"))
        async with asyncio.timeout(30):
            await mirror.reached(revision)
        assert listener.revisions == []


async def test_subscribers_know_before_those_who_wait(store: MemoryStore) -> None:
    """What is derived from the mirror by subscription is as new as the mirror itself."""
    async with mirroring(store) as mirror:
        listener = Listener(mirror)
        revision = await write(store, put("router/a"))
        await mirror.reached(revision)
        assert [event.revision for event in listener.events] == [revision]


async def test_subscribers_hear_everything_once_and_in_order(store: MemoryStore) -> None:
    """All of them, until they leave; foreign keys are left out."""
    async with mirroring(store) as mirror:
        listeners = [Listener(mirror) for _ in range(3)]
        revisions = [await write(store, put("router/a"), put("audit/1")) for _ in range(5)]
        await mirror.reached(revisions[-1])
        listeners[0].leave()
        revisions.append(await write(store, put("router/a")))
        await mirror.reached(revisions[-1])
        for listener, heard in zip(listeners, (5, 6, 6), strict=True):
            assert [event.revision for event in listener.events] == revisions[:heard]


async def test_a_subscriber_that_fails(
    store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback; the others and the mirror go on."""

    def fail(batch: Batch) -> None:
        raise ZeroDivisionError

    async with mirroring(store) as mirror:
        mirror.subscribe(fail)
        listener = Listener(mirror)
        for _ in range(2):
            await mirror.reached(await write(store, put("router/a")))
        assert len(listener.events) == 2
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


async def test_it_resumes_without_loss_or_repeat(store: MemoryStore) -> None:
    """The watch is cut again and again under load: every event arrives, once."""
    async with mirroring(store) as mirror:
        listener = Listener(mirror)
        revisions = []
        for n in range(60):
            revisions.append(await write(store, put(f"router/{n % 7}", str(n))))
            if n % 4 == 0:
                await mirror.reached(revisions[-1])
                store.disconnect()
        async with asyncio.timeout(30):
            await mirror.reached(revisions[-1])
        assert [event.revision for event in listener.events] == revisions


async def test_a_watch_that_worked_is_resumed_without_patience(store: MemoryStore) -> None:
    """Only failures in a row make it wait longer: after the fifteenth that would be minutes."""
    mirror = Mirror(store, PREFIXES, longest_wait_s=3600)
    await mirror.start()
    async with asyncio.timeout(30):
        for _ in range(15):
            store.disconnect()
            await mirror.reached(await write(store, put("router/a")))
    await mirror.close()


async def test_it_is_stale_while_the_store_is_away(
    store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    """It says why, once in the log, goes on answering, and catches up when the store is back."""
    caplog.set_level(logging.INFO, "ctherd.store")
    await write(store, put("router/a", "1"))
    async with mirroring(store) as mirror:
        store.disconnect("somebody pulled the plug", stay=True)
        await soon(lambda: mirror.stale)
        assert "somebody pulled the plug" in mirror.stale
        assert keys(mirror) == ["router/a"]
        store.reconnect()
        await mirror.reached(await write(store, put("router/b")))
        assert not mirror.stale
        assert keys(mirror) == ["router/a", "router/b"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "somebody pulled the plug" in told[0]
    assert "again" in told[1]


async def test_a_store_that_says_nothing_is_stale() -> None:
    """Silence is no sign of health: without Alive the mirror cannot know what it misses."""
    store = MemoryStore(alive_s=3600)
    mirror = Mirror(store, PREFIXES, silence_s=0.02, longest_wait_s=0.01)
    await mirror.start()
    heard: list[Batch] = []
    mirror.subscribe(heard.append)
    await soon(lambda: "said nothing" in mirror.stale)
    await mirror.reached(await write(store, put("router/a")))
    assert len(heard) == 1
    await mirror.close()


async def test_what_was_forgotten_is_found_by_comparing(store: MemoryStore) -> None:
    """A snapshot and a comparison: subscribers hear what is new, what changed, and what is gone;
    nothing of what stayed as it was."""
    await write(store, *(put(f"router/{name}", "1") for name in "abc"))
    async with mirroring(store) as mirror:
        listener = Listener(mirror)
        store.disconnect("for a while", stay=True)
        await write(store, put("router/x"), put("audit/1"))
        changed = await write(store, put("router/b", "2"), delete("router/c"), delete("router/x"))
        added = await write(store, put("doc/d"))
        last = await write(store, put("audit/2"))
        await store.compact(0)
        store.reconnect()
        async with asyncio.timeout(30):
            await mirror.reached(last)
        assert sorted(listener.events) == [
            Event("doc/d", b"", added),
            Event("router/b", b"2", changed),
            Event("router/c", None, last),
        ]
        assert listener.revisions == [last]
        assert keys(mirror) == ["doc/d", "router/a", "router/b"]


async def test_a_store_that_is_away_at_the_start(store: MemoryStore) -> None:
    """There is nothing to answer with: whoever starts is told, and may try again."""
    store.away = "not yet"
    mirror = Mirror(store, PREFIXES)
    with pytest.raises(Unavailable, match="not yet"):
        await mirror.start()
    assert mirror.stale
    store.away = ""
    await mirror.start()
    assert not mirror.stale
    await mirror.close()


async def test_closing_lets_go_of_those_who_wait(store: MemoryStore) -> None:
    """They are told that it will not come; one who gave up by himself disturbs nobody."""
    async with mirroring(store) as mirror:
        impatient = asyncio.create_task(mirror.reached(Revision(50)))
        waiting = asyncio.create_task(mirror.reached(Revision(50)))
        await asyncio.sleep(0)
        impatient.cancel()
        await mirror.close()
        with pytest.raises(Disconnected):
            await waiting
        with pytest.raises(Disconnected):
            await mirror.reached(Revision(50))
        assert mirror.stale


async def test_a_mistake_of_ours_is_told_and_retried(
    store: MemoryStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the store raises, the mirror does not die in silence."""
    watch = store.watch

    def broken(prefix: str, since: Revision) -> object:
        monkeypatch.setattr(store, "watch", watch)
        raise ZeroDivisionError("a mistake")

    async with mirroring(store) as mirror:
        monkeypatch.setattr(store, "watch", broken)
        store.disconnect()
        await soon(lambda: "a mistake" in mirror.stale)
        await mirror.reached(await write(store, put("router/a")))
        assert not mirror.stale
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("name", FACTORIES)
async def test_it_follows_every_store_under_load(name: str) -> None:
    """Many writers at once: in the end the mirror has what a snapshot has."""
    async with FACTORIES[name]() as store:
        mirror = Mirror(store, ("",))
        await mirror.start()

        async def load(writer: int) -> Revision:
            for n in range(40):
                steps = (put(f"{n % 6}", str(writer)), delete(f"{10 + (n + writer) % 6}"))
                revision = await write(store, *steps, put(f"{20 + n * writer % 6}"))
            return revision

        await mirror.reached(max(await asyncio.gather(*(load(n) for n in range(5)))))
        snapshot = await store.snapshot()
        assert mirror.under("") == [each async for page in snapshot.pages for each in page]
        await mirror.close()


# -- the shelf -------------------------------------------------------------------------------------

_keys = st.text("ab/\U0010ffff", min_size=1, max_size=4)


@given(st.lists(st.tuples(_keys, st.booleans())), st.lists(_keys), _keys | st.just(""))
def test_the_shelf_is_a_sorted_dict(
    steps: list[tuple[str, bool]], start: list[str], prefix: str
) -> None:
    """Whatever comes and goes, it holds what a dict would, in order."""
    model = {key: Stored(key, b"", Revision(1)) for key in start}
    shelf = Shelf(model.values())
    for n, (key, stays) in enumerate(steps):
        if stays:
            model[key] = Stored(key, b"", Revision(n))
            shelf.put(model[key])
        else:
            model.pop(key, None)
            shelf.drop(key)
    assert shelf.under(prefix) == [model[key] for key in sorted(model) if key.startswith(prefix)]
    assert all(shelf.get(key) == model.get(key) for key in (*model, *start))
