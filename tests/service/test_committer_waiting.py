"""Who waits for a commit: how many may, until when, and what becomes of one who leaves."""

import asyncio

import pytest

from ctherd.errors import Overloaded
from ctherd.store.port import Stored
from tests.service.committing import assert_sound, bench, entry, run
from tests.service.gated_store import GatedStore, held_at_the_gate


def test_who_stops_waiting_early_changed_nothing() -> None:
    """A change that was not taken up when its waiter left is never carried out."""

    async def scenario() -> None:
        store = GatedStore()
        async with bench(store) as made:
            first = await held_at_the_gate(made, store, lambda: made.put("a", "first"))
            second = asyncio.create_task(made.put("b", "second"))
            while not made.committer.waiting:
                await asyncio.sleep(0)
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            store.open.set()
            await first
            assert await made.noted() == ["first"]
            assert await made.keys() == {"a"}
        await assert_sound(made.store)

    run(scenario())


def test_who_stops_waiting_late_changed_it_nevertheless() -> None:
    """A change that was taken up is carried out and noted, though nobody is told."""

    async def scenario() -> None:
        store = GatedStore()
        async with bench(store) as made:
            first = await held_at_the_gate(made, store, lambda: made.put("a", "first"))
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            store.open.set()
            await made.put("b", "second")
            assert await made.noted() == ["first", "second"]
            assert await made.keys() == {"a", "b"}
        await assert_sound(made.store)

    run(scenario())


def test_what_waits_is_bounded() -> None:
    """One more than may wait is told to come again; denials take no place of changes."""

    async def scenario() -> None:
        store = GatedStore()
        async with bench(store, capacity=2) as made:
            tasks = [await held_at_the_gate(made, store, lambda: made.put("a", "0"))]
            tasks += [asyncio.create_task(made.put("b", name)) for name in "12"]
            tasks += [asyncio.create_task(made.committer.note(entry(name))) for name in "34"]
            while made.committer.waiting < 4:
                await asyncio.sleep(0)
            with pytest.raises(Overloaded) as caught:
                await made.put("c", "5")
            assert caught.value.retry_after_s > 0
            with pytest.raises(Overloaded):
                await made.committer.note(entry("6"))
            store.open.set()
            await asyncio.gather(*tasks)
            assert set(await made.noted()) == set("01234")
        await assert_sound(made.store)

    run(scenario())


class StoppedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands still: no timer ever fires."""

    def time(self) -> float:
        return 0.0


def test_a_lone_change_waits_for_no_timer() -> None:
    """It goes to the store at once; were there a timer on its way, this would never end."""

    async def scenario() -> None:
        async with bench() as made:
            for name in "abc":
                await made.put(name, name)

    with asyncio.Runner(loop_factory=StoppedLoop) as runner:
        runner.run(scenario())


def test_an_answer_comes_when_the_mirror_shows_it() -> None:
    """Who reads right after his change reads his change."""

    async def scenario() -> None:
        async with bench() as made:
            for number in range(20):
                revision = await made.put("a", str(number))
                assert made.mirror.get("a") == Stored("a", str(number).encode(), revision)

    run(scenario())


def test_a_mirror_that_is_behind_holds_an_answer_for_a_while_only() -> None:
    """The change is durable: its author is told so, though reading is stale."""

    async def scenario() -> None:
        async with bench(reach_s=0.01) as made:
            await made.put("a", "first")
            made.store.disconnect()
            assert isinstance(await made.put("a", "second"), int)

    run(scenario())
