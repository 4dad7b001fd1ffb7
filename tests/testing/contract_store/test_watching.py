"""The watch: every commit once, whole and in order, from any revision that is remembered."""

import asyncio

import pytest

from ctherd.store.port import (
    ABSENT,
    Alive,
    Batch,
    Compacted,
    Conflict,
    Disconnected,
    Event,
    Revision,
    Store,
    Unavailable,
)
from tests.testing.contract_store.words import (
    absent,
    at,
    attempt,
    delete,
    everything,
    next_batch,
    put,
    seen,
    until,
    write,
)


async def test_from_the_beginning(store: Store) -> None:
    """Everything that ever happened, in its order, with values as they were then."""
    first = await write(store, put("a", "1"))
    second = await write(store, put("a", "2"), put("b", "1"))
    third = await write(store, delete("a"))
    assert await seen(store, third) == [
        Event("a", b"1", first),
        Event("a", b"2", second),
        Event("b", b"1", second),
        Event("a", None, third),
    ]


async def test_from_a_revision(store: Store) -> None:
    """What comes after it, and not it itself."""
    first = await write(store, put("a"))
    second = await write(store, put("b"))
    third = await write(store, put("c"))
    assert [event.key for event in await seen(store, third, since=first)] == ["b", "c"]
    assert [event.key for event in await seen(store, third, since=second)] == ["c"]


async def test_what_happens_while_it_waits(store: Store) -> None:
    """A watch that is there already hears of a commit as of any other."""
    start = await write(store, put("a"))
    watch = store.watch("", start)
    assert await anext(watch) == Alive(start)
    listening = asyncio.create_task(next_batch(watch))
    revision = await write(store, put("b", "1"))
    assert await listening == Batch(revision, (Event("b", b"1", revision),))
    await watch.aclose()


async def test_it_says_that_it_is_alive(store: Store) -> None:
    """At once if there is nothing to tell, and again and again while nothing happens."""
    start = await write(store, put("a"))
    watch = store.watch("", start)
    async with asyncio.timeout(30):
        assert [await anext(watch) for _ in range(3)] == [Alive(start)] * 3
    await watch.aclose()


async def test_only_keys_with_the_prefix(store: Store) -> None:
    """What else a commit did is left out; a commit of other keys only advances the revision."""
    first = await write(store, put("a/1"), put("b/1"), put("a"))
    last = await write(store, put("b/2"))
    batches = await until(store, last, prefix="a/")
    assert [event for batch in batches for event in batch.events] == [Event("a/1", b"", first)]
    watch = store.watch("a/", first)
    assert await anext(watch) == Alive(last)
    await watch.aclose()


async def test_an_unrelated_commit_advances_it_at_once(store: Store) -> None:
    """Whoever waits for a revision learns that it has passed, whatever was in it."""
    start = await write(store, put("a/1"))
    watch = store.watch("a/", start)
    assert await anext(watch) == Alive(start)
    revision = await write(store, put("b/1"))
    async with asyncio.timeout(30):
        while (await anext(watch)).revision < revision:
            pass
    await watch.aclose()


async def test_deleting_what_is_absent_is_no_event(store: Store) -> None:
    """And no error."""
    start = await write(store, put("a"))
    revision = await write(store, delete("never"), delete("a"))
    assert await seen(store, revision, since=start) == [Event("a", None, revision)]


async def test_writing_the_same_value_is_an_event(store: Store) -> None:
    """The key has a new revision, and others may wait for that."""
    start = await write(store, put("a", "1"))
    revision = await write(store, put("a", "1"))
    assert await seen(store, revision, since=start) == [Event("a", b"1", revision)]


async def test_a_conflict_is_no_event(store: Store) -> None:
    """Nothing happened."""
    start = await write(store, put("a"))
    assert isinstance(await attempt(store, put("x"), expects=[absent("a")]), Conflict)
    last = await write(store, put("b"))
    assert [event.key for event in await seen(store, last, since=start)] == ["b"]


async def test_a_commit_is_never_split(store: Store) -> None:
    """Many commits at once, watched by one that is slow: each commit is in one batch, whole."""
    watch = store.watch("", ABSENT)
    await anext(watch)
    revisions = await asyncio.gather(
        *(write(store, *(put(f"{n}/{k}") for k in range(20))) for n in range(60))
    )
    found: dict[Revision, int] = {}
    async with asyncio.timeout(30):
        while len(found) < 60:
            batch = await anext(watch)
            if isinstance(batch, Batch):
                told = [event.revision for event in batch.events]
                assert told == sorted(told)
                assert batch.revision == told[-1]
                assert not found.keys() & set(told)
                found |= {revision: told.count(revision) for revision in told}
    assert found == dict.fromkeys(sorted(revisions), 20)
    await watch.aclose()


async def test_a_watch_that_lags_far_behind_misses_nothing(store: Store) -> None:
    """However many commits a slow consumer is late by, it gets each of them once."""
    watch = store.watch("", ABSENT)
    await anext(watch)
    for _ in range(13):
        last = max(await asyncio.gather(*(write(store, put("a", str(n))) for n in range(100))))
    revisions: list[Revision] = []
    async with asyncio.timeout(30):
        async for each in watch:
            if isinstance(each, Batch):
                revisions += [event.revision for event in each.events]
            if each.revision >= last:
                break
    await watch.aclose()
    assert len(revisions) == 1300
    assert revisions == sorted(set(revisions))


async def test_many_watches_see_the_same(store: Store) -> None:
    """One does not take an event away from another."""
    start = await write(store, put("a"))
    watches = [store.watch("", start) for _ in range(5)]
    for watch in watches:
        await anext(watch)
    revisions = [await write(store, put(f"k/{n}")) for n in range(20)]
    for watch in watches:
        told: list[Revision] = []
        while len(told) < len(revisions):
            told += [event.revision for event in (await next_batch(watch)).events]
        assert told == revisions
        await watch.aclose()


# -- compaction ------------------------------------------------------------------------------------


async def test_what_is_compacted_cannot_be_resumed_from(store: Store) -> None:
    """The oldest revision to resume from is told, works, and none before it does."""
    revisions = [await write(store, put("a", str(n))) for n in range(10)]
    oldest = await store.compact(3)
    assert [event.value for event in await seen(store, revisions[-1], since=oldest)] == [
        b"7",
        b"8",
        b"9",
    ]
    for since in (ABSENT, *revisions[:6]):
        with pytest.raises(Compacted) as caught:
            await anext(store.watch("", since))
        assert caught.value.revision == oldest


async def test_compaction_keeps_what_stands(store: Store) -> None:
    """Only the memory of changes is lost, and no expectation fails by it."""
    first = await write(store, put("a", "1"))
    last = await write(store, put("b", "1"))
    oldest = await store.compact(0)
    assert oldest >= last
    assert (await everything(store)).keys() == {"a", "b"}
    assert await write(store, put("a", "2"), expects=[at("a", first)]) > last


async def test_compacting_again_changes_nothing(store: Store) -> None:
    """It never goes back, and may keep more than there is."""
    for n in range(5):
        await write(store, put("a", str(n)))
    oldest = await store.compact(2)
    assert await store.compact(2) == oldest
    assert await store.compact(100) == oldest


async def test_outcomes_are_remembered_as_long_as_events(store: Store) -> None:
    """A write id of a commit that can be resumed from is known."""
    for n in range(10):
        await store.commit([], [put("a", str(n))], write_id=f"w{n}")
    await store.compact(4)
    assert all([await store.outcome(f"w{n}") is not None for n in range(6, 10)])


async def test_a_watch_that_keeps_up_survives_compaction(store: Store) -> None:
    """What it has seen it does not need any more."""
    start = await write(store, put("a"))
    watch = store.watch("", start)
    await anext(watch)
    await store.compact(0)
    listening = asyncio.create_task(next_batch(watch))
    revision = await write(store, put("b"))
    assert (await listening).revision == revision
    await watch.aclose()


async def test_a_revision_that_is_yet_to_come(store: Store) -> None:
    """Whoever has it, has it from another life of the store: a snapshot is what helps."""
    last = await write(store, put("a"))
    with pytest.raises(Compacted):
        await anext(store.watch("", Revision(last + 1000)))


# -- the end ---------------------------------------------------------------------------------------


async def test_closing_ends_watches_with_disconnected(store: Store) -> None:
    """Those that wait, and those that come later."""
    watch = store.watch("", ABSENT)
    await anext(watch)
    listening = asyncio.create_task(next_batch(watch))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(Disconnected):
        await listening
    with pytest.raises(Disconnected):
        await anext(store.watch("", ABSENT))


async def test_a_closed_store_is_unavailable(store: Store) -> None:
    """Every method says so, and closing again is no error."""
    await write(store, put("a"))
    snapshot = await store.snapshot()
    await store.close()
    await store.close()
    with pytest.raises(Unavailable):
        await write(store, put("b"))
    with pytest.raises(Unavailable):
        await store.get("a")
    with pytest.raises(Unavailable):
        await store.page("")
    with pytest.raises(Unavailable):
        await store.snapshot()
    with pytest.raises(Unavailable):
        await anext(snapshot.pages)
    with pytest.raises(Unavailable):
        await store.outcome("w")
    with pytest.raises(Unavailable):
        await store.compact(1)


async def test_closing_finishes_what_was_asked_for(store: Store) -> None:
    """Each commit that was begun before is answered: done, or refused."""
    begun = [asyncio.create_task(write(store, put(f"k/{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    answers = await asyncio.gather(*begun, return_exceptions=True)
    assert all(isinstance(answer, int | Unavailable) for answer in answers)
