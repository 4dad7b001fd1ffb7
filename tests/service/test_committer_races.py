"""Many commit at once: one of those that want the same wins, all others share a commit."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from ctherd.store.port import ABSENT, Conflict, Expect, Put
from tests.service.committing import Bench, assert_sound, bench, entry, run


@given(racers=st.integers(2, 12), together=st.integers(1, 8), created=st.booleans())
def test_exactly_one_of_many_racers_wins(racers: int, together: int, created: bool) -> None:
    """The others are told what stands there now, and are in no audit."""

    async def scenario() -> None:
        async with bench(together=together) as made:
            revision = ABSENT if created else await made.put("k", "before")
            names = [f"racer {each}" for each in range(racers)]
            answers = await asyncio.gather(
                *(made.put("k", name, expects=revision) for name in names)
            )
            stored = await made.store.get("k")
            assert stored is not None
            losers = [each for each in answers if isinstance(each, Conflict)]
            assert len(losers) == racers - 1
            assert all(each == Conflict("k", stored) for each in losers)
            winner = names[answers.index(stored.revision)]
            assert stored.value == winner.encode()
            assert await made.noted() == ([] if created else ["before"]) + [winner]
        await assert_sound(made.store)

    run(scenario())


@given(counters=st.integers(1, 3), clerks=st.integers(1, 6), together=st.integers(1, 8))
def test_no_update_is_lost(counters: int, clerks: int, together: int) -> None:
    """Whoever retries on Conflict gets his turn; each counter counts all that was added to it."""

    async def add(made: Bench, key: str, name: str) -> None:
        answer: object = None
        while not isinstance(answer, int):
            current = made.mirror.get(key)
            count = int(current.value) if current else 0
            expects = [Expect(key, current.revision if current else ABSENT)]
            writes = [Put(key, str(count + 1).encode())]
            answer = await made.committer.commit(expects, writes, entry(name))

    async def scenario() -> None:
        async with bench(together=together) as made:
            await asyncio.gather(
                *(
                    add(made, f"counter/{counter}", f"{counter}/{clerk}")
                    for counter in range(counters)
                    for clerk in range(clerks)
                )
            )
            for counter in range(counters):
                stored = await made.store.get(f"counter/{counter}")
                assert stored is not None
                assert int(stored.value) == clerks
            assert len(await made.noted()) == counters * clerks

    run(scenario())


def test_what_shares_no_key_shares_a_commit() -> None:
    """Twenty changes that come while one is under way cost one commit, and one fsync."""

    async def scenario() -> None:
        async with bench() as made:
            names = [f"{each:02}" for each in range(20)]
            revisions = await asyncio.gather(
                *(made.put(name, name, expects=ABSENT) for name in names)
            )
            assert len(set(revisions)) == 1
            assert await made.noted() == names
        await assert_sound(made.store)

    run(scenario())


def test_what_conflicts_is_dropped_from_a_shared_commit() -> None:
    """The rest of the commit happens, and its entries follow each other without a gap."""

    async def scenario() -> None:
        async with bench() as made:
            await made.put("b", "first")
            answers = await asyncio.gather(
                *(made.put(key, f"second {key}", expects=ABSENT) for key in "abc")
            )
            assert [isinstance(each, Conflict) for each in answers] == [False, True, False]
            assert await made.noted() == ["first", "second a", "second c"]
        await assert_sound(made.store)

    run(scenario())
