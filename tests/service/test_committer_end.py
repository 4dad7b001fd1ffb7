"""When nothing follows: a quiet committer seals its chain, one that stops closes it."""

import asyncio

import pytest

from ctherd.authz.audit.query import Filters, query
from ctherd.authz.audit.verify import Fault as ChainFault
from ctherd.authz.audit.verify import verify
from ctherd.store.port import OutcomeUnknown, Unavailable
from ctherd.testing.memory_store import Fault
from tests.service.committing import TRUSTED, assert_sound, bench, run
from tests.service.gated_store import GatedStore, held_at_the_gate


def test_decisions_are_sealed_when_nothing_follows() -> None:
    """A quiet server leaves nothing without a signature for long."""

    async def scenario() -> None:
        async with bench(seal_after_s=0) as made:
            await made.put("a", "first")
            while not (await query(made.store, Filters(kind="checkpoint"))).entries:
                await asyncio.sleep(0)
            verdict = await verify(made.store, TRUSTED)
            assert verdict.sealed == verdict.entries == 3

    run(scenario())


def test_a_stop_carries_out_what_waits() -> None:
    """What was asked before is done, what is asked after is refused, and the chain is closed."""

    async def scenario() -> None:
        store = GatedStore()
        async with bench(store) as made:
            first = await held_at_the_gate(made, store, lambda: made.put("a", "first"))
            second = asyncio.create_task(made.put("a", "second"))
            while not made.committer.waiting:
                await asyncio.sleep(0)
            closing = asyncio.create_task(made.committer.close())
            await asyncio.sleep(0)
            with pytest.raises(Unavailable):
                await made.put("b", "third")
            store.open.set()
            await asyncio.gather(first, second, closing)
        assert await made.noted() == ["first", "second"]
        await assert_sound(made.store)

    run(scenario())


def test_a_stop_does_not_wait_forever_for_a_store_that_cannot_tell() -> None:
    """Whoever waits is told that nobody knows; what had not been taken up has not happened."""

    async def scenario() -> None:
        store = GatedStore()
        async with bench(store, patience_s=0.01) as made:
            await made.put("a", "first")
            store.mute = True
            store.plant(Fault.LOST_AFTER)
            second = await held_at_the_gate(made, store, lambda: made.put("b", "second"))
            third = asyncio.create_task(made.put("c", "third"))
            while not made.committer.waiting:
                await asyncio.sleep(0)
            store.open.set()
            await made.committer.close()
            answers = await asyncio.gather(second, third, return_exceptions=True)
            assert [type(each) for each in answers] == [OutcomeUnknown, Unavailable]
        verdict = await verify(store, TRUSTED)
        assert [each.fault for each in verdict.findings] == [ChainFault.OPEN]
        # The next process finds the chain as it really is, and vouches for it.
        async with bench(store) as again:
            assert await again.noted() == ["first", "second"]
        await assert_sound(store)

    run(scenario())
