"""Chains of an audit in a store in memory, and the means to tamper with them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ctherd.authz.audit.chain import AUDIT, digest_of, key_of, seq_of
from ctherd.authz.audit.entry import AuditEntry, Decision
from ctherd.authz.audit.trail import Extension, Trail, begin_trail
from ctherd.authz.audit.verify import Verdict, verify
from ctherd.authz.caller import Caller
from ctherd.model.router import ProjectId
from ctherd.signing.canonical import read, spell
from ctherd.signing.envelope import Signer, Verifier
from ctherd.store.port import Delete, Put, Write
from ctherd.testing.memory_store import MemoryStore

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))
TRUSTED = Verifier({SIGNER.key: SIGNER.public})
ANN = Caller("ann", ProjectId("p1"), frozenset({"reader", "member"}), "keystone")


def entry(number: int = 0, **options: Any) -> AuditEntry:
    fields: dict[str, Any] = {
        "caller": ANN,
        "address": "192.0.2.1",
        "request_id": f"req-{number}",
        "action": "create_router_conntrack_helper",
        "decision": Decision.ALLOWED,
        **options,
    }
    return AuditEntry(**fields)


class Book:
    """A store with chains in it, and the means to tamper with them."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self._writes = 0

    async def write(self, *writes: Write) -> None:
        self._writes += 1
        await self.store.commit([], writes, write_id=str(self._writes))

    async def lengthen(self, trail: Trail, extension: Extension) -> None:
        await self.write(*extension.writes)
        trail.advance(extension)

    async def chain(self, count: int, *, closed: bool = True, seal_every: int = 4) -> str:
        """Write a chain with *count* decisions."""
        trail = await begin_trail(self.store, "server", SIGNER, seal_every=seal_every)
        name = trail.chain
        await self.lengthen(trail, trail.extend([]))
        for number in range(count):
            await self.lengthen(trail, trail.extend([entry(number)]))
        if closed:
            await self.lengthen(trail, trail.seal(closed=True))
        return name

    async def entries(self, chain: str) -> dict[int, bytes]:
        found = await self.store.page(f"{AUDIT}{chain}/")
        return {seq_of(each.key): each.value for each in found}

    async def edit(self, chain: str, seq: int, *, rehash: bool, **fields: Any) -> None:
        """Change an entry; *rehash* links all that follow to it."""
        values = await self.entries(chain)
        values[seq] = with_fields(values[seq], **fields)
        if rehash:
            for each in range(seq + 1, max(values) + 1):
                values[each] = with_fields(values[each], previous=digest_of(values[each - 1]))
        await self.write(*(Put(key_of(chain, each), value) for each, value in values.items()))

    async def cut(self, chain: str, *seqs: int) -> None:
        await self.write(*(Delete(key_of(chain, seq)) for seq in seqs))

    async def verdict(self) -> Verdict:
        return await verify(self.store, TRUSTED)


def with_fields(value: bytes, **fields: Any) -> bytes:
    return spell({**read(value.decode()), **fields}).encode()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)
