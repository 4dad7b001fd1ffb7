"""Short words for what the tests of the contract say often."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from uuid import uuid4

from ctherd.store.port import (
    ABSENT,
    Alive,
    Batch,
    Conflict,
    Delete,
    Event,
    Expect,
    Put,
    Revision,
    Store,
    Stored,
    Write,
)


def put(key: str, value: bytes | str = b"") -> Put:
    return Put(key, value.encode() if isinstance(value, str) else value)


def delete(key: str) -> Delete:
    return Delete(key)


def absent(key: str) -> Expect:
    return Expect(key, ABSENT)


def at(key: str, revision: Revision) -> Expect:
    return Expect(key, revision)


async def write(store: Store, *writes: Write, expects: Sequence[Expect] = ()) -> Revision:
    """Commit what must succeed."""
    answer = await store.commit(expects, writes, write_id=str(uuid4()))
    assert not isinstance(answer, Conflict), answer
    return answer


async def attempt(store: Store, *writes: Write, expects: Sequence[Expect] = ()) -> object:
    """Commit what may conflict."""
    return await store.commit(expects, writes, write_id=str(uuid4()))


async def everything(store: Store, *prefixes: str) -> dict[str, Stored]:
    """What a snapshot holds."""
    snapshot = await store.snapshot(*prefixes)
    return {each.key: each async for page in snapshot.pages for each in page}


async def until(
    store: Store, revision: Revision, *, prefix: str = "", since: Revision = ABSENT
) -> list[Batch]:
    """What a watch yields until it has delivered *revision*."""
    batches = []
    watch = store.watch(prefix, since)
    async with asyncio.timeout(30):
        async for each in watch:
            if isinstance(each, Batch):
                batches.append(each)
            if each.revision >= revision:
                break
    await watch.aclose()
    return batches


async def next_batch(watch: AsyncGenerator[Batch | Alive, None]) -> Batch:
    """The next that is not Alive."""
    async with asyncio.timeout(30):
        while not isinstance(each := await anext(watch), Batch):
            pass
    return each


async def seen(
    store: Store, revision: Revision, *, prefix: str = "", since: Revision = ABSENT
) -> list[Event]:
    """The events among that."""
    batches = await until(store, revision, prefix=prefix, since=since)
    return [event for batch in batches for event in batch.events]
