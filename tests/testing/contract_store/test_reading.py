"""Reads: a snapshot at one revision while others write, and pages in both directions."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctherd.store.port import Revision, Store
from tests.testing.contract_store.factories import Factory
from tests.testing.contract_store.words import delete, everything, put, until, write


async def test_a_key_that_is_absent(store: Store) -> None:
    """It is None, and so is what only shares a prefix with a key."""
    await write(store, put("ab"))
    assert await store.get("a") is None
    assert await store.get("abc") is None


async def test_an_empty_store(store: Store) -> None:
    """It has a revision from which a watch can follow, and no pages."""
    snapshot = await store.snapshot()
    assert [page async for page in snapshot.pages] == []
    revision = await write(store, put("a"))
    assert len(await until(store, revision, since=snapshot.revision)) == 1


async def test_a_snapshot_is_in_order_of_keys(store: Store) -> None:
    """Code point by code point, over all pages."""
    keys = ["a", "a/1", "a/10", "a/2", "b", "Z", "é", "\uffff", "\U0001f411"]
    await write(store, *(put(key) for key in keys))
    snapshot = await store.snapshot()
    assert [each.key async for page in snapshot.pages for each in page] == sorted(keys)


async def test_a_snapshot_of_prefixes(store: Store) -> None:
    """Each key with one of them, once; a prefix is no pattern, and ends where it ends."""
    await write(store, *(put(key) for key in ("a/1", "a/2", "a", "a%", "b/1", "b_", "c/1", "c0")))
    assert (await everything(store, "c/", "a/")).keys() == {"a/1", "a/2", "c/1"}
    assert (await everything(store, "a", "a/", "a/1")).keys() == {"a", "a%", "a/1", "a/2"}
    assert (await everything(store, "x")).keys() == set()
    assert len(await everything(store, "")) == 8


async def test_a_snapshot_stays_at_its_revision(store: Store) -> None:
    """While its pages are read others write, over and under what was read already."""
    keys = [f"k/{n:05}" for n in range(1500)]
    for start in range(0, len(keys), 100):
        await write(store, *(put(key, "before") for key in keys[start : start + 100]))
    snapshot = await store.snapshot()
    found = {}
    async for page in snapshot.pages:
        found.update({each.key: each for each in page})
        await write(store, put(keys[0], "after"), put(keys[-1], "after"), put("k/z", "after"))
        await write(store, *(delete(key) for key in keys[700:720]))
    assert sorted(found) == keys
    assert {each.value for each in found.values()} == {b"before"}
    assert max(each.revision for each in found.values()) == snapshot.revision


async def test_a_snapshot_and_the_watch_from_it_miss_nothing(store: Store) -> None:
    """Snapshots that are taken while others write: with the watch they make up the present."""
    stop = asyncio.Event()

    async def load(name: str) -> Revision:
        revision, n = Revision(0), 0
        while not stop.is_set() or n < 10:
            n += 1
            revision = await write(
                store, put(f"{name}/{n % 7}", str(n)), delete(f"{name}/{(n + 3) % 7}")
            )
        return revision

    writers = [asyncio.create_task(load(name)) for name in "ab"]
    snapshots = []
    for _ in range(5):
        snapshot = await store.snapshot()
        snapshots.append(
            (snapshot.revision, {each.key: each async for page in snapshot.pages for each in page})
        )
    stop.set()
    last = max(await asyncio.gather(*writers))
    present = {key: (each.value, each.revision) for key, each in (await everything(store)).items()}
    for revision, held in snapshots:
        replayed = {key: (each.value, each.revision) for key, each in held.items()}
        for batch in await until(store, last, since=revision):
            for event in batch.events:
                assert event.revision > revision
                if event.value is None:
                    del replayed[event.key]
                else:
                    replayed[event.key] = (event.value, event.revision)
        assert replayed == present


async def test_pages_forward_and_backward(store: Store) -> None:
    """Page by page in either direction: every key once, and the last page is empty."""
    keys = [f"audit/{n:02}" for n in range(10)]
    await write(store, put("audi"), put("audit0"), *(put(key) for key in keys))
    for backward in (False, True):
        read: list[str] = []
        while page := await store.page(
            "audit/", after=read[-1] if read else "", limit=4, newest_first=backward
        ):
            assert len(page) <= 4
            read += [each.key for each in page]
        assert read == sorted(keys, reverse=backward)


@pytest.mark.parametrize(
    ("after", "forward", "backward"),
    [
        ("a", ["p/1", "p/3"], []),
        ("p/2", ["p/3"], ["p/1"]),
        ("p/3", [], ["p/1"]),
        ("q", [], ["p/3", "p/1"]),
    ],
)
async def test_a_page_beyond_what_is_no_key(
    store: Store, after: str, forward: list[str], backward: list[str]
) -> None:
    """The place to go on from need not exist, nor bear the prefix."""
    await write(store, *(put(key) for key in ("o", "p/1", "p/3", "q", "r")))
    assert [each.key for each in await store.page("p/", after=after)] == forward
    found = await store.page("p/", after=after, newest_first=True)
    assert [each.key for each in found] == backward


_keys = st.text(st.sampled_from("a/\x00\ud7ff\ue000\uffff\U0010ffff"), min_size=1, max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.sets(_keys, max_size=12), st.one_of(st.just(""), _keys))
async def test_prefixes_at_the_edges_of_text(factory: Factory, keys: set[str], prefix: str) -> None:
    """A prefix that ends in the last code point, or before the surrogates, is a prefix too."""
    async with factory() as store:
        await write(store, *(put(key) for key in keys))
        matching = sorted(key for key in keys if key.startswith(prefix))
        assert list(await everything(store, prefix)) == matching
        assert [each.key for each in await store.page(prefix)] == matching
        backward = await store.page(prefix, newest_first=True)
        assert [each.key for each in backward] == matching[::-1]


async def test_pages_that_nobody_reads_on(store: Store) -> None:
    """A snapshot may be let go of at any point; the store works on."""
    await write(store, *(put(f"k/{n:04}") for n in range(1200)))
    snapshot = await store.snapshot()
    await anext(snapshot.pages)
    await snapshot.pages.aclose()
    unread = await store.snapshot()
    del unread
    await write(store, put("k/0000", "again"))
    assert len(await everything(store)) == 1200
