"""The committer: races, faults, cancelled waiters, bounds; and the chain that survives them all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ctherd.authz.audit.chain import AUDIT
from ctherd.authz.audit.entry import AuditEntry, Decision
from ctherd.authz.audit.query import Filters, query
from ctherd.authz.audit.trail import SEAL_EVERY, begin_trail
from ctherd.authz.audit.verify import Fault as ChainFault
from ctherd.authz.audit.verify import verify
from ctherd.authz.caller import Caller
from ctherd.errors import CtherdError, LocalProtocolError, Overloaded
from ctherd.model.router import ProjectId
from ctherd.service.committer import Committer
from ctherd.signing.envelope import Signer, Verifier
from ctherd.store.port import (
    ABSENT,
    Batch,
    Conflict,
    Delete,
    Expect,
    OutcomeUnknown,
    Put,
    Revision,
    Stored,
    Unavailable,
    Write,
)
from ctherd.testing.memory_store import Fault, MemoryStore

T = TypeVar("T")

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
TRUSTED = Verifier({SIGNER.key: SIGNER.public})
WHO = Caller("somebody", ProjectId("p"), frozenset({"member"}), "test")


class FollowingMirror:
    """A mirror that reads the watch of a store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._found: dict[str, Stored] = {}
        self._moved = asyncio.Condition()
        self.revision = Revision(0)

    def get(self, key: str) -> Stored | None:
        return self._found.get(key)

    async def reached(self, revision: Revision) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self.revision >= revision)

    async def follow(self) -> None:
        async for told in self._store.watch("", Revision(0)):
            if isinstance(told, Batch):
                for key, value, revision in told.events:
                    self._found.pop(key, None)
                    if value is not None:
                        self._found[key] = Stored(key, value, revision)
            async with self._moved:
                self.revision = told.revision
                self._moved.notify_all()


class Bench:
    """A committer over *store*, and what tests ask of both."""

    def __init__(self, store: MemoryStore, mirror: FollowingMirror, committer: Committer) -> None:
        self.store = store
        self.mirror = mirror
        self.committer = committer

    async def put(self, key: str, value: str, *, expects: Revision | None = None) -> Any:
        expected = [] if expects is None else [Expect(key, expects)]
        writes = [Put(key, value.encode())]
        return await self.committer.commit(expected, writes, entry(value))

    async def noted(self) -> list[str | None]:
        """Return the request ids in the audit, oldest first."""
        found = await query(self.store, Filters(kind="decision"), limit=10_000)
        return [each.get("request_id") for each in reversed(found.entries)]

    async def keys(self) -> set[str]:
        return {each.key for each in await self.store.page("")} - await self.audit_keys()

    async def audit_keys(self) -> set[str]:
        return {each.key for each in await self.store.page(AUDIT)}


def entry(request_id: str, decision: Decision = Decision.ALLOWED) -> AuditEntry:
    return AuditEntry(WHO, "192.0.2.1", request_id, "update_router", decision)


@asynccontextmanager
async def bench(
    store: MemoryStore | None = None, seal_every: int = SEAL_EVERY, **options: Any
) -> AsyncIterator[Bench]:
    store = store or MemoryStore()
    mirror = FollowingMirror(store)
    following = asyncio.create_task(mirror.follow())
    trail = await begin_trail(store, "server", SIGNER, seal_every=seal_every)
    committer = Committer(store, mirror, trail, **options)
    committer.start()
    try:
        yield Bench(store, mirror, committer)
    finally:
        await committer.close()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def assert_sound(store: MemoryStore) -> None:
    """Every chain is whole, signed, and closed."""
    verdict = await verify(store, TRUSTED)
    assert verdict.findings == []
    assert verdict.sealed == verdict.entries > 0


def run(scenario: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(scenario)


# -- races -----------------------------------------------------------------------------------------


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


# -- faults and cancelled waiters ------------------------------------------------------------------

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


class GatedStore(MemoryStore):
    """A store whose commits wait at a gate, and which may break in a way that no port allows."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Event()
        self.broken = False
        self.mute = False

    async def commit(
        self, expects: Sequence[Expect], writes: Sequence[Write], *, write_id: str
    ) -> Revision | Conflict:
        self.arrived.set()
        await self.open.wait()
        if self.broken:
            raise RuntimeError("a bug in the store")
        return await super().commit(expects, writes, write_id=write_id)

    async def outcome(self, write_id: str) -> Revision | None:
        self.arrived.set()
        if self.mute:
            raise Unavailable("it cannot be asked now")
        return await super().outcome(write_id)


async def held_at_the_gate(
    made: Bench, store: GatedStore, start: Callable[[], Awaitable[Any]]
) -> asyncio.Task[Any]:
    """Return what *start* began, when its commit stands at the closed gate."""
    while not await made.audit_keys():
        await asyncio.sleep(0)  # The start of the chain is on its way.
    store.open.clear()
    store.arrived.clear()
    task = asyncio.ensure_future(start())
    await store.arrived.wait()
    return task


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


# -- bounds, time, and the end ---------------------------------------------------------------------


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
