"""The book: what it took from our own hands is what the store has; others are verified."""

import random
from typing import Any

import pytest

from ctherd.service.refusals import RecordUnsound
from ctherd.service.router_book import RouterBook
from ctherd.store.port import Put
from tests.api.server import Client, helpers_of, running

GATEWAY = {"network_id": "6a9c8d5e-0000-4000-8000-000000000000", "external_fixed_ips": []}
ROUTES = [{"destination": "192.0.2.0/24", "nexthop": "198.51.100.1"}]

CHANGES: list[dict[str, Any]] = [
    {"name": "ä name", "description": "x\ny"},
    {"external_gateway_info": GATEWAY, "routes": ROUTES},
    {"external_gateway_info": None},
    {"admin_state_up": False},
    {"placements": [{"host": "a"}, {"host": "b", "netns": "r"}]},
    {"placements": [{"host": "b", "netns": "r"}]},
    {"placements": []},
]


@pytest.mark.parametrize("seed", range(5))
async def test_a_server_that_starts_reads_what_this_one_remembers(seed: int) -> None:
    """After any changes, every router in the book is the one that its record says."""
    chance = random.Random(seed)
    async with running() as server:
        client = Client(server.app(), "admin")
        routers = [(await client.router(**CHANGES[0]))["id"] for _ in range(3)]
        for port in range(1, 30):
            router = chance.choice(routers)
            match chance.randrange(3):
                case 0:
                    change = {"router": chance.choice(CHANGES)}
                    await client.ask("PUT", f"/v2.0/routers/{router}", change)
                case 1:
                    await client.helper(
                        router, port=port, destinations=["192.0.2.1", "2001:db8::/32"]
                    )
                case 2:
                    kept = server.book.find(router)
                    assert kept is not None
                    for helper in list(kept.router.helpers)[:1]:
                        await client.ask("DELETE", helpers_of(router, helper))
        fresh = RouterBook(server.mirror, lambda: server.verifier)
        for router in routers:
            assert server.book.find(router) == fresh.find(router)
        fresh.close()


async def test_a_record_under_another_routers_key() -> None:
    """Sealed by us, but for another router: it is not this one's."""
    async with running() as server:
        client = Client(server.app())
        one, other = await client.router(), await client.router()
        stored = await server.store.get(f"router/{one['id']}")
        assert stored is not None
        swapped = [Put(f"router/{other['id']}", stored.value)]
        revision = await server.store.commit([], swapped, write_id="forger")
        assert isinstance(revision, int)
        await server.mirror.reached(revision)
        with pytest.raises(RecordUnsound):
            server.book.find(other["id"])


async def test_what_others_wrote_is_never_taken_for_ours() -> None:
    """A record that comes while ours is under way is read and verified like any other."""
    async with running() as server:
        client = Client(server.app())
        router = await client.router()
        stored = await server.store.get(f"router/{router['id']}")
        kept = server.book.find(router["id"])
        assert stored is not None and kept is not None
        publication = server.publisher.change(kept.router, kept.revision, kept.router, "now")
        with server.book.announced([publication]):
            forged = stored.value.replace(b"mine", b"mime")
            revision = await server.store.commit([], [Put(stored.key, forged)], write_id="forger")
            assert isinstance(revision, int)
            await server.mirror.reached(revision)
            with pytest.raises(RecordUnsound):
                server.book.find(router["id"])
