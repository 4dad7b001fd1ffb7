"""How a stream ends, what it costs to be slow, and what is counted."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from ctherd.api.stream import stream
from ctherd.model.router import HostName
from ctherd.service.host_metrics import HostMetrics
from ctherd.service.mailbox import Mailbox
from ctherd.testing.memory_store import MemoryStore
from tests.follow.agents import ScriptedHost
from tests.follow.conftest import becomes
from tests.follow.server import Listening, Server, new_signer, pin
from tests.reconcile.machine import FTP

pytestmark = pytest.mark.anyio


class Client:
    """The other end of a stream."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.received = b""
        self.ended = False
        self.left = 0

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.received += message.get("body", b"")
        self.ended = message["type"] == "http.response.body" and not message["more_body"]

    def leave(self) -> None:
        self.left += 1


async def test_no_stream_is_for_ever() -> None:
    """It ends after its time, as an answer that is complete, with all that was said before."""
    client, mailbox = Client(), Mailbox(100)
    mailbox.put(b"last\n")
    async with asyncio.timeout(10):
        await stream(
            mailbox, [b"first\n"], client.leave, client.receive, client.send, longest_s=0.1
        )
    assert (client.received, client.ended, client.left) == (b"first\nlast\n", True, 1)


async def test_a_client_that_goes_is_let_go() -> None:
    """Nothing is kept for it."""
    client, mailbox = Client(), Mailbox(100)
    client.gone.set()
    async with asyncio.timeout(10):
        await stream(mailbox, [b"first\n"], client.leave, client.receive, client.send)
    assert (mailbox.closed, client.left) == (True, 1)


async def test_hosts_and_streams_are_counted(tmp_path: Path) -> None:
    """Every metric of hosts says what is so."""
    listening = Listening()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        host.agent(listening.url, pin(server, tmp_path / "pin")),
    ):
        assert await becomes(lambda: server.feed.is_watched_by(host.name))
        await server.put("host/b", b"{}")
        await server.declare("r1", [("b", "q1")], FTP)
        await server.withdraw("r1")
        assert await becomes(lambda: server.reports.taken)
        registry = CollectorRegistry()
        registry.register(
            HostMetrics(
                server.hosts, server.feed, server.reports, server.documents, server.happenings
            )
        )
        text = generate_latest(registry).decode()
    for line in (
        'ctherd_hosts{state="alive"} 1.0',
        'ctherd_hosts{state="silent"} 1.0',
        'ctherd_streams{kind="watch"} 1.0',
        "ctherd_streams_cut_total 0.0",
        "ctherd_withdrawals_outstanding 1.0",
    ):
        assert line in text


async def test_a_host_has_few_streams() -> None:
    """Whoever connects again and again ends what he left open, the oldest first."""
    async with Server(MemoryStore(), new_signer()) as server:
        watches = [await server.feed.join(HostName("a"), None) for _ in range(6)]
        assert [each.mailbox.closed for each in watches] == [True] * 2 + [False] * 4
        assert server.feed.watching == 4
