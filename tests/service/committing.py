"""A committer over a store in memory, and what tests ask of both."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ctherd.authz.audit.chain import AUDIT
from ctherd.authz.audit.entry import AuditEntry, Decision
from ctherd.authz.audit.query import Filters, query
from ctherd.authz.audit.trail import SEAL_EVERY, begin_trail
from ctherd.authz.audit.verify import verify
from ctherd.authz.caller import Caller
from ctherd.model.router import ProjectId
from ctherd.service.committer import Committer
from ctherd.signing.envelope import Signer, Verifier
from ctherd.store.port import Batch, Expect, Put, Revision, Stored
from ctherd.testing.memory_store import MemoryStore

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
