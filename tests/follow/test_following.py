"""A host follows its server: declared, changed, withdrawn, moved, over real HTTP."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from ctherd.model.status import State
from ctherd.testing.memory_store import MemoryStore
from tests.follow.agents import ScriptedHost
from tests.follow.conftest import becomes
from tests.follow.server import Listening, Server, new_signer, pin
from tests.reconcile.machine import FTP, TFTP


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_what_is_declared_becomes_true_and_is_reported(tmp_path: Path) -> None:
    """Declare, change and delete a router: the kernel follows, and the status says so."""

    async def story() -> None:
        listening = Listening()
        host = ScriptedHost("a", tmp_path / "a", "q1")
        async with (
            Server(MemoryStore(), new_signer()) as server,
            listening.serve(server),
            host.agent(listening.url, pin(server, tmp_path / "pin")) as agent,
        ):
            if True:
                assert await becomes(lambda: server.feed.is_watched_by(host.name))
                router = await server.declare("r1", [("a", "q1")], FTP)
                assert await server.board.settled(router.id, router.serial, 10)
                assert agent.ports("q1") == {21}
                assert server.board.of(router)[FTP.id].state is State.ACTIVE
                router = await server.change("r1", FTP, TFTP)
                assert await server.board.settled(router.id, router.serial, 10)
                assert agent.ports("q1") == {21, 69}
                await server.withdraw("r1")
                assert await server.board.settled(router.id, router.serial + 1, 10)
                assert agent.ports("q1") == set()
                assert not server.documents.of_router(router.id)
                assert not server.mirror.under("place/")
                assert not server.mirror.under("status/")

    run(story())
