"""Whatever a store does to a commit: the change is whole, the answer true, the chain sound."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.authz.audit.entry import Decision
from ctherd.authz.audit.verify import verify
from ctherd.errors import CtherdError, LocalProtocolError, Overloaded
from ctherd.store.port import (
    ABSENT,
    Conflict,
    Delete,
    Expect,
    Put,
    Revision,
    Stored,
    Unavailable,
    Write,
)
from ctherd.testing.memory_store import Fault, MemoryStore
from tests.service.committing import TRUSTED, Bench, assert_sound, bench, entry, run
from tests.service.gated_store import GatedStore

ASK = st.fixed_dictionaries(
    {
        "key": st.sampled_from("abcd"),
        "expects": st.sampled_from(["nothing", "absent", "mirror", "stale"]),
        "denial": st.booleans(),
        "delete": st.booleans(),
        "steps": st.integers(0, 3),
        "cancelled_after": st.none() | st.integers(0, 12),
    }
)


@given(
    asks=st.lists(ASK, max_size=20),
    faults=st.lists(st.sampled_from(Fault), max_size=12),
    together=st.integers(1, 8),
    capacity=st.integers(1, 8),
    seal_every=st.integers(1, 5),
)
def test_whatever_happens_each_change_is_whole(
    asks: list[dict[str, Any]],
    faults: list[Fault],
    together: int,
    capacity: int,
    seal_every: int,
) -> None:
    """A change and its audit entry are both there or both not, and the answer says which; whoever
    stopped waiting has one or the other, too. The chain is whole, whatever the store did.
    """

    async def ask(made: Bench, number: int, told: dict[str, Any]) -> object:
        for _ in range(told["steps"]):
            await asyncio.sleep(0)
        name, key = str(number), told["key"]
        current = made.mirror.get(key)
        revision = {
            "nothing": None,
            "absent": ABSENT,
            "mirror": current.revision if current else ABSENT,
            "stale": Revision(1),
        }[told["expects"]]
        expects = [] if revision is None else [Expect(key, revision)]
        writes: list[Write] = [Put(f"done/{name}", b"")]
        writes += [Delete(key)] if told["delete"] else [Put(key, name.encode())]
        try:
            if told["denial"]:
                await made.committer.note(entry(name, Decision.DENIED))
                return "noted"
            return await made.committer.commit(expects, writes, entry(name))
        except CtherdError as error:
            return error

    async def scenario() -> None:
        store = MemoryStore()
        for fault in faults:
            store.plant(fault)
        async with bench(store, seal_every, together=together, capacity=capacity) as made:
            tasks = []
            for number, told in enumerate(asks):
                task = asyncio.create_task(ask(made, number, told))
                tasks.append(task)
                cancelling = asyncio.create_task(cancel_later(task, told["cancelled_after"]))
                tasks.append(cancelling)
            answers = (await asyncio.gather(*tasks, return_exceptions=True))[::2]
        noted = await made.noted()
        assert len(noted) == len(set(noted))
        keys = await made.keys()
        for number, (told, answer) in enumerate(zip(asks, answers, strict=True)):
            is_noted = str(number) in noted
            if not told["denial"]:
                assert is_noted is (f"done/{number}" in keys)
            if isinstance(answer, int) or answer == "noted":
                assert is_noted
            elif isinstance(answer, Conflict | Overloaded | Unavailable):
                assert not is_noted
            else:
                assert isinstance(answer, asyncio.CancelledError), answer
        verdict = await verify(store, TRUSTED)
        # Faults that are left over meet the last checkpoint; everything else is as it must be.
        assert verdict.sound
        assert len(verdict.findings) <= 1
        assert verdict.chains <= 1

    run(scenario())


async def cancel_later(task: asyncio.Task[Any], after: int | None) -> None:
    if after is None:
        return
    for _ in range(after):
        await asyncio.sleep(0)
    task.cancel()


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.LOST_BEFORE])
def test_a_lost_answer_is_looked_for(fault: Fault) -> None:
    """The change is carried out once, whether or not it had happened when the answer was lost."""

    async def scenario() -> None:
        async with bench() as made:
            await made.put("a", "first")
            made.store.plant(fault)
            answer = await made.put("a", "second")
            stored = await made.store.get("a")
            assert stored == Stored("a", b"second", answer)
            assert await made.noted() == ["first", "second"]
        await assert_sound(made.store)

    run(scenario())


def test_a_store_that_loses_every_answer_is_unavailable() -> None:
    """It is not asked forever, and what was said holds: nothing happened."""

    async def scenario() -> None:
        async with bench() as made:
            await made.put("a", "first")
            for _ in range(3):
                made.store.plant(Fault.LOST_BEFORE)
            with pytest.raises(Unavailable):
                await made.put("a", "second")
            assert await made.noted() == ["first"]
            await made.put("a", "third")
        await assert_sound(made.store)

    run(scenario())


def test_an_unavailable_store_harms_only_what_it_refused() -> None:
    """Who asked is told that nothing happened; the next one is served."""

    async def scenario() -> None:
        async with bench() as made:
            await made.put("a", "first")
            made.store.plant(Fault.UNAVAILABLE)
            with pytest.raises(Unavailable):
                await made.put("a", "second")
            await made.put("a", "third")
            assert await made.noted() == ["first", "third"]
        await assert_sound(made.store)

    run(scenario())


def test_a_bug_in_a_store_ends_one_commit_and_one_chain() -> None:
    """Who asked learns that we failed; the next change is served, in a chain of its own."""

    async def scenario() -> None:
        store = GatedStore()
        async with bench(store) as made:
            await made.put("a", "first")
            store.broken = True
            with pytest.raises(LocalProtocolError):
                await made.put("a", "second")
            store.broken = False
            await made.put("a", "third")
            assert await made.noted() == ["first", "third"]
        verdict = await verify(store, TRUSTED)
        assert (verdict.chains, verdict.findings) == (2, [])

    run(scenario())


def test_an_entry_that_somebody_slips_in_stops_nobody() -> None:
    """Changes go on in a new chain, and the verification finds the stranger."""

    async def scenario() -> None:
        async with bench() as made:
            await made.put("a", "first")
            latest = max(await made.audit_keys())
            chain, _, seq = latest.rpartition("/")
            slipped = Put(f"{chain}/{int(seq) + 1:016}", b'{"kind":"decision"}')
            await made.store.commit([], [slipped], write_id="stranger")
            await made.put("a", "second")
            assert await made.noted() == ["first", None, "second"]
        verdict = await verify(made.store, TRUSTED)
        assert verdict.chains == 2
        assert not verdict.sound

    run(scenario())
