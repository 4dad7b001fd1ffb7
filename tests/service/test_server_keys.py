"""A change of the key ring: told first, then used, then everything signed anew; and interrupted."""

from collections.abc import AsyncIterator, Sequence

import pytest

from ctherd.authz.audit.trail import begin_trail
from ctherd.errors import ConfigurationError
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.router import DeclaredHelper, HostName, Placement, ProjectId, Router
from ctherd.service.committer import Committer
from ctherd.service.feed import CURRENT_KEYS
from ctherd.service.records import DOCUMENTS, MIRRORED, ROUTERS, read_envelope
from ctherd.service.server_keys import KeyChange, ServerKeys, signed_by
from ctherd.signing.envelope import KeyId
from ctherd.signing.key_ring import KeyRing, new_ring
from ctherd.signing.key_set import open_keys
from ctherd.store.mirror import Mirror
from ctherd.store.port import Put, Stored
from ctherd.testing.memory_store import MemoryStore

pytestmark = pytest.mark.anyio

NOW = "2026-01-01T00:00:00Z"
ROUTERS_MADE = 150
"""More than fit into one commit."""


class Server:
    """A store in memory, and what changes its keys."""

    def __init__(self, store: MemoryStore, mirror: Mirror, committer: Committer, ring: KeyRing):
        self.store = store
        self.mirror = mirror
        self.committer = committer
        self.keys = ServerKeys(ring, 1)
        self.signers: list[KeyId] = []
        self.change = KeyChange(
            self.keys, mirror, committer, lambda signer: self.signers.append(signer.key)
        )

    def signed(self) -> Sequence[Stored]:
        return [*self.mirror.under(ROUTERS), *self.mirror.under(DOCUMENTS)]

    def signers_in_store(self) -> set[KeyId | None]:
        return {signed_by(each) for each in self.signed()}

    async def declare(self, number: int) -> None:
        router = Router(
            id=RouterId(f"r{number}"),
            project=ProjectId("p"),
            name="x",
            serial=1,
            revision_number=1,
            created_at=NOW,
            updated_at=NOW,
            placements=(Placement(HostName("node"), NetnsName(f"n{number}")),),
            helpers={
                AssignmentId("a"): DeclaredHelper(
                    Assignment(AssignmentId("a"), "ftp", Protocol.TCP, 21)
                )
            },
        )
        made = self.keys.publisher().declare(router)
        revision = await self.store.commit(made.expects, made.writes, write_id=f"w{number}")
        assert isinstance(revision, int)
        await self.mirror.reached(revision)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    store = MemoryStore()
    mirror = Mirror(store, MIRRORED)
    await mirror.start()
    ring = new_ring(NOW)
    committer = Committer(store, mirror, await begin_trail(store, "s", ring.signing.signer))
    committer.start()
    server = Server(store, mirror, committer, ring)
    await server.change.adopt(ring)
    for number in range(ROUTERS_MADE):
        await server.declare(number)
    yield server
    await committer.close()
    await mirror.close()
    await store.close()


def payloads(server: Server) -> dict[str, str]:
    return {each.key: read_envelope(each.value).payload for each in server.signed()}


async def test_a_rotation_signs_everything_anew_and_changes_nothing_else(server: Server) -> None:
    """Afterwards nothing bears the old signature, and every payload is the same to the byte."""
    before = payloads(server)
    ring = server.keys.ring.rotate(NOW)
    assert await server.change.adopt(ring) == 0
    assert server.signers_in_store() == {ring.signing.id}
    assert payloads(server) == before
    assert server.signers[-1] == ring.signing.id
    stored = server.mirror.get(CURRENT_KEYS)
    assert stored is not None
    assert open_keys(ring.verifier(), read_envelope(stored.value)) == ring.key_set


async def test_agents_hear_of_a_key_before_anything_is_signed_with_it(server: Server) -> None:
    """In the order of the store's revisions the key set comes first."""
    ring = server.keys.ring.rotate(NOW)
    await server.change.adopt(ring)
    stored = server.mirror.get(CURRENT_KEYS)
    assert stored is not None
    assert all(stored.revision < each.revision for each in server.signed())


async def test_an_interrupted_change_is_finished_by_the_next_start(server: Server) -> None:
    """A server that died after the file was changed, and half was signed anew, comes back whole."""
    old = server.keys.ring
    ring = old.rotate(NOW)
    server.keys.use(ring)
    for number in range(ROUTERS_MADE, ROUTERS_MADE + 3):
        await server.declare(number)
    assert server.signers_in_store() == {old.signing.id, ring.signing.id}
    again = Server(server.store, server.mirror, server.committer, ring)
    assert await again.change.adopt(ring) == 0
    assert again.signers_in_store() == {ring.signing.id}


async def test_what_nobody_signed_is_not_signed_by_a_rotation(server: Server) -> None:
    """Whoever edits the store and waits for a rotation gets nothing signed."""
    key = f"{ROUTERS}r0"
    stored = server.mirror.get(key)
    assert stored is not None
    forged = stored.value.replace(b'\\"ftp\\"', b'\\"irc\\"')
    assert forged != stored.value
    revision = await server.store.commit((), [Put(key, forged)], write_id="forgery")
    assert isinstance(revision, int)
    await server.mirror.reached(revision)
    assert await server.change.adopt(server.keys.ring.rotate(NOW)) == 1
    left = server.mirror.get(key)
    assert left is not None and left.value == forged


async def test_a_retired_key_is_believed_no_more(server: Server) -> None:
    """After its retirement not even this server believes it."""
    old = server.keys.ring.signing.id
    ring = server.keys.ring.rotate(NOW)
    await server.change.adopt(ring)
    assert old in server.keys.verifier().publics
    await server.change.adopt(ring.retire(old))
    assert set(server.keys.verifier().publics) == {ring.signing.id}


async def test_other_keys_and_old_copies_are_refused(server: Server) -> None:
    """The store knows whose it is, and which key set was the last."""
    known = server.keys.ring
    await server.change.adopt(known.rotate(NOW))
    for wrong in (new_ring(NOW), known):
        other = Server(server.store, server.mirror, server.committer, wrong)
        with pytest.raises(ConfigurationError):
            await other.change.adopt(wrong)
