"""A commit: all of it or nothing, at one revision, if everything is as expected."""

import asyncio
from uuid import uuid4

import pytest

from ctherd.errors import LocalProtocolError
from ctherd.store.port import ABSENT, Conflict, Delete, Expect, Put, Revision, Store, Stored
from tests.testing.contract_store.words import (
    absent,
    at,
    attempt,
    delete,
    everything,
    put,
    seen,
    write,
)


async def test_what_is_acknowledged_is_read(store: Store) -> None:
    """Whoever reads after the answer sees the value, with the revision that was answered."""
    revision = await write(store, put("a", "1"))
    assert await store.get("a") == Stored("a", b"1", revision)
    again = await write(store, put("a", "2"))
    assert again > revision
    assert await store.get("a") == Stored("a", b"2", again)


async def test_everybody_reads_the_last_acknowledged(store: Store) -> None:
    """Reads that begin after an acknowledgement never see what was before it."""
    acknowledged = Revision(0)

    async def read() -> None:
        for _ in range(30):
            known = acknowledged
            found = await store.get("a")
            assert (found.revision if found else ABSENT) >= known

    readers = [asyncio.create_task(read()) for _ in range(4)]
    for n in range(30):
        acknowledged = await write(store, put("a", str(n)))
    await asyncio.gather(*readers)


async def test_the_writes_of_a_commit_share_its_revision(store: Store) -> None:
    """However many keys a commit touches, it has one revision."""
    await write(store, put("old"))
    revision = await write(store, put("a"), put("b"), delete("old"))
    assert {each.revision for each in (await everything(store)).values()} == {revision}


async def test_any_bytes_come_back(store: Store) -> None:
    """A value is bytes, and a key is text in any script; neither is changed."""
    value = bytes(range(256)) * 40
    await write(store, put("ключ/\U0001f411/\x00", value), put("empty", b""))
    found = await everything(store)
    assert found["ключ/\U0001f411/\x00"].value == value
    assert found["empty"].value == b""


async def test_an_expectation_that_holds(store: Store) -> None:
    """The revision of a key, and the absence of another, may be expected together."""
    first = await write(store, put("a"))
    second = await write(store, put("a", "2"), put("b"), expects=[at("a", first), absent("b")])
    assert (await everything(store)).keys() == {"a", "b"}
    assert second > first


@pytest.mark.parametrize("named", ["a", "b"])
async def test_a_conflict_names_the_key_and_what_stands_there(store: Store, named: str) -> None:
    """Nothing of the commit happens, and the caller knows what to do next without a read."""
    first = await write(store, put("a", "1"), put("b", "1"))
    second = await write(store, put(named, "2"))
    answer = await attempt(store, put("a", "3"), put("c"), expects=[at("a", first), at("b", first)])
    assert answer == Conflict(named, Stored(named, b"2", second))
    assert "c" not in await everything(store)


async def test_a_conflict_with_absence(store: Store) -> None:
    """What was expected to be there is gone, and was expected to be absent is there."""
    first = await write(store, put("a", "1"))
    assert await attempt(store, put("a", "2"), expects=[absent("a")]) == Conflict(
        "a", Stored("a", b"1", first)
    )
    await write(store, delete("a"))
    assert await attempt(store, put("a", "2"), expects=[at("a", first)]) == Conflict("a", None)
    assert await attempt(store, put("b"), expects=[at("a", first)]) == Conflict("a", None)
    assert await everything(store) == {}


async def test_a_deleted_key_is_absent(store: Store) -> None:
    """Expecting absence holds again after a deletion."""
    await write(store, put("a"))
    await write(store, delete("a"))
    assert await store.get("a") is None
    await write(store, put("a", "again"), expects=[absent("a")])
    assert (await everything(store))["a"].value == b"again"


async def test_expectations_are_of_keys_that_are_not_written(store: Store) -> None:
    """A commit may depend on a key that it leaves alone."""
    first = await write(store, put("lock"))
    await write(store, put("a"), expects=[at("lock", first)])
    assert (await everything(store))["lock"].revision == first


async def test_a_commit_without_writes(store: Store) -> None:
    """It has a revision and an outcome like any other, and is no event."""
    before = await write(store, put("a"))
    write_id = str(uuid4())
    revision = await store.commit([at("a", before)], [], write_id=write_id)
    assert not isinstance(revision, Conflict)
    assert revision > before
    assert await store.outcome(write_id) == revision
    assert await seen(store, revision, since=before) == []


@pytest.mark.parametrize(
    ("expects", "writes"),
    [
        ([], [Put("a", b""), Put("a", b"")]),
        ([], [Put("a", b""), Delete("a")]),
        ([], [Put("", b"")]),
        ([Expect("", ABSENT)], []),
        ([], [Put("\ud800", b"")]),
    ],
)
async def test_what_no_store_can_do(
    store: Store, expects: list[Expect], writes: list[Put | Delete]
) -> None:
    """It is our mistake, and is told as that; nothing happens, and others are not harmed."""
    neighbour = asyncio.create_task(write(store, put("neighbour")))
    with pytest.raises(LocalProtocolError):
        await store.commit(expects, writes, write_id=str(uuid4()))
    await neighbour
    assert (await everything(store)).keys() == {"neighbour"}


async def test_a_write_id_is_done_once(store: Store) -> None:
    """Whoever repeats it is answered as the first time, whatever happened in between."""
    write_id = str(uuid4())
    first = await store.commit([absent("a")], [put("a", "1")], write_id=write_id)
    await write(store, put("a", "2"))
    assert await store.commit([absent("a")], [put("a", "1")], write_id=write_id) == first
    assert (await everything(store))["a"].value == b"2"


async def test_a_write_id_that_waits_twice_is_done_once(store: Store) -> None:
    """Also if the first is not answered yet when it is repeated."""
    answers = await asyncio.gather(*(store.commit([], [put("a")], write_id="w") for _ in range(3)))
    assert len(set(answers)) == 1
    assert len(await seen(store, await write(store, put("b")))) == 2


async def test_the_outcome_of_a_write_id(store: Store) -> None:
    """Its revision if it was committed; None if it never came, or met a conflict."""
    done, refused = str(uuid4()), str(uuid4())
    revision = await store.commit([], [put("a")], write_id=done)
    await store.commit([absent("a")], [put("a")], write_id=refused)
    assert await store.outcome(done) == revision
    assert await store.outcome(refused) is None
    assert await store.outcome(str(uuid4())) is None


async def test_after_a_conflict_the_write_id_may_be_used(store: Store) -> None:
    """A conflict is no outcome: what it asked for did not happen yet."""
    write_id = str(uuid4())
    first = await write(store, put("a"))
    assert isinstance(await store.commit([absent("a")], [put("b")], write_id=write_id), Conflict)
    revision = await store.commit([at("a", first)], [put("b")], write_id=write_id)
    assert await store.outcome(write_id) == revision


async def test_of_racers_exactly_one_wins(store: Store) -> None:
    """Eight that expect the same key absent: one commits, and all others see its value."""
    answers = await asyncio.gather(
        *(attempt(store, put("a", str(n)), expects=[absent("a")]) for n in range(8))
    )
    (won,) = [n for n, answer in enumerate(answers) if not isinstance(answer, Conflict)]
    standing = await store.get("a")
    assert standing == Stored("a", str(won).encode(), answers[won])  # type: ignore[arg-type]
    lost = [answer for n, answer in enumerate(answers) if n != won]
    assert lost == [Conflict("a", standing)] * 7


async def test_a_counter_that_many_advance(store: Store) -> None:
    """Read, expect, write, and again on conflict: no step is lost."""

    async def advance() -> None:
        while True:
            found = await store.get("n")
            value, expected = (int(found.value), found.revision) if found else (0, ABSENT)
            answer = await attempt(store, put("n", str(value + 1)), expects=[at("n", expected)])
            if not isinstance(answer, Conflict):
                return

    await asyncio.gather(*(advance() for _ in range(20)))
    assert (await everything(store))["n"].value == b"20"


async def test_commits_that_wait_together_keep_their_own_revisions(store: Store) -> None:
    """Revisions are unique and in the order in which the watch tells them."""
    revisions = await asyncio.gather(*(write(store, put(f"k/{n}")) for n in range(50)))
    assert len(set(revisions)) == 50
    told = [event.revision for event in await seen(store, max(revisions))]
    assert told == sorted(revisions)


async def test_one_that_conflicts_harms_no_neighbour(store: Store) -> None:
    """Of commits that wait together, each has its own expectations."""
    await write(store, put("taken"))
    answers = await asyncio.gather(
        *(
            attempt(store, put(f"k/{n}"), expects=[absent("taken" if n % 3 == 0 else f"k/{n}")])
            for n in range(12)
        )
    )
    assert [isinstance(answer, Conflict) for answer in answers] == [n % 3 == 0 for n in range(12)]
    assert len(await everything(store, "k/")) == 8


async def test_a_later_one_of_those_that_wait_sees_the_earlier(store: Store) -> None:
    """Expectations are checked against what the commits before it made, not against the disk."""
    first, second = await asyncio.gather(
        attempt(store, put("a", "1"), expects=[absent("a")]),
        attempt(store, put("b", "1"), expects=[absent("a")]),
    )
    assert not isinstance(first, Conflict)
    assert second == Conflict("a", Stored("a", b"1", first))  # type: ignore[arg-type]


async def test_the_epoch_of_a_new_store(store: Store) -> None:
    """It is in its first life."""
    assert await store.epoch() == 1
