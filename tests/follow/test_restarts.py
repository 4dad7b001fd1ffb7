"""Servers that go and come, hosts that are alone, and readers that are slow."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.router import HostName
from ctherd.model.status import State
from ctherd.service.feed import Since
from ctherd.service.mailbox import Mailbox
from ctherd.service.publish import renew
from ctherd.service.records import MIRRORED
from ctherd.signing.envelope import Signer
from ctherd.store.port import Put, Revision
from ctherd.testing.memory_store import MemoryStore
from tests.follow.agents import ScriptedHost
from tests.follow.conftest import becomes
from tests.follow.server import Listening, Server, new_signer, pin
from tests.reconcile.machine import FTP, TFTP

pytestmark = pytest.mark.anyio

MANY = 200


class Gate:
    """Notes when streams are asked for, and how often anything is sent on them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.asked_s: list[float] = []
        self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith("/watch"):
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            self.sent += 1
            await send(message)

        self.asked_s.append(time.monotonic())
        await self._app(scope, receive, counted)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_restart_under_two_hundred_hosts(tmp_path: Path) -> None:
    """All catch up with what was changed meanwhile, spread over time, and nothing is removed."""
    listening, store, signer = Listening(), MemoryStore(), new_signer()
    hosts = [ScriptedHost(f"h{n}", tmp_path / f"h{n}", "q1") for n in range(MANY)]
    async with AsyncExitStack() as stack:
        async with Server(store, signer) as server, listening.serve(server):
            pinned = pin(server, tmp_path / "pin")
            agents = [
                await stack.enter_async_context(
                    each.agent(listening.url, pinned, first_s=2.0, longest_s=2.0)
                )
                for each in hosts
            ]
            assert await becomes(lambda: server.feed.watching == MANY, 60)
            for n, each in enumerate(hosts):
                await server.declare(f"r{n}", [(each.name, "q1")], FTP)
            assert await becomes(lambda: all(agent.ports("q1") == {21} for agent in agents), 60)
        generations = [each.kernel.netns("q1").ruleset.generation for each in hosts]
        async with Server(store, signer) as server:
            for n in range(10):
                await server.change(f"r{n}", FTP, TFTP)
            gate = Gate(server.app)
            async with listening.serve_app(gate, server.end_streams):
                assert await becomes(lambda: server.feed.watching == MANY, 60)
                assert await becomes(
                    lambda: all(agent.ports("q1") == {21, 69} for agent in agents[:10]), 60
                )
        after = [each.kernel.netns("q1").ruleset.generation for each in hosts]
        assert after[10:] == generations[10:]
        assert all(agent.ports("q1") == {21} for agent in agents[10:])
        first_s = min(gate.asked_s)
        tenths = [int((each - first_s) * 10) for each in gate.asked_s]
        assert max(tenths) >= 10
        assert max(map(tenths.count, set(tenths))) < MANY / 2


async def test_a_host_enforces_alone_what_it_believed_last(tmp_path: Path) -> None:
    """Without any server: drift is repaired, also by an agent that was started alone."""
    listening, store, signer = Listening(), MemoryStore(), new_signer()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    async with Server(store, signer) as server, listening.serve(server):
        pinned = pin(server, tmp_path / "pin")
        async with host.agent(listening.url, pinned):
            assert await becomes(lambda: server.feed.is_watched_by(host.name))
            router = await server.declare("r1", [("a", "q1")], FTP)
            assert await server.board.settled(router.id, router.serial, 10)
    host.kernel.netns("q1").ruleset.tables.clear()
    async with host.agent(listening.url, pinned) as agent:
        agent.look_everywhere()
        assert agent.ports("q1") == {21}
        async with Server(store, signer) as server:
            await server.change("r1", TFTP)
            async with listening.serve(server):
                assert await becomes(lambda: agent.ports("q1") == {69})


async def test_what_was_withdrawn_while_a_host_was_away_goes_at_its_return(tmp_path: Path) -> None:
    """The tombstone waits, and so does the place, until the host has obeyed."""
    listening, store, signer = Listening(), MemoryStore(), new_signer()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    async with Server(store, signer) as server, listening.serve(server):
        pinned = pin(server, tmp_path / "pin")
        async with host.agent(listening.url, pinned):
            assert await becomes(lambda: server.feed.is_watched_by(host.name))
            router = await server.declare("r1", [("a", "q1")], FTP)
            assert await server.board.settled(router.id, router.serial, 10)
        await server.withdraw("r1")
        assert server.mirror.get("place/a/q1") is not None
        async with host.agent(listening.url, pinned) as agent:
            assert await becomes(lambda: server.mirror.get("place/a/q1") is None)
            assert agent.ports("q1") == set()


# -- restores --------------------------------------------------------------------------------------


async def copy(store: MemoryStore) -> MemoryStore:
    """A backup, as a file that was copied: the same epoch."""
    other = MemoryStore()
    snapshot = await store.snapshot(*MIRRORED)
    puts = [Put(each.key, each.value) async for page in snapshot.pages for each in page]
    await other.commit((), puts, write_id="copy")
    return other


async def restored(store: MemoryStore, server: Server, signer: Signer, epoch: int) -> MemoryStore:
    """The same, restored: everything is signed anew in its epoch."""
    other = MemoryStore(epoch=epoch)
    snapshot = await store.snapshot(*MIRRORED)
    puts = [
        renew(each, server.verifier, signer, epoch) or Put(each.key, each.value)
        async for page in snapshot.pages
        for each in page
        if not each.key.startswith(("status/", "host/", "lease/"))
    ]
    await other.commit((), puts, write_id="restore")
    return other


async def test_an_old_copy_of_the_store_is_not_believed_but_a_restored_one_is(
    tmp_path: Path,
) -> None:
    """A file that was put back by hand is an old epoch: refused; `restore` begins a new one."""
    listening, store, signer = Listening(), MemoryStore(), new_signer()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    pinned = tmp_path / "pin"
    async with AsyncExitStack() as stack:
        async with Server(store, signer) as server, listening.serve(server):
            pin(server, pinned)
            agent = await stack.enter_async_context(host.agent(listening.url, pinned))
            assert await becomes(lambda: server.feed.is_watched_by(host.name))
            router = await server.declare("r1", [("a", "q1")], FTP)
            assert await server.board.settled(router.id, router.serial, 10)
            backup = await copy(store)
            router = await server.change("r1", FTP, TFTP)
            assert await server.board.settled(router.id, router.serial, 10)
        async with Server(backup, signer) as server, listening.serve(server):
            assert await becomes(lambda: "older" in facts(server, host.name).get("trouble", ""))
            assert agent.ports("q1") == {21, 69}
        again = await restored(backup, server, signer, 2)
        async with Server(again, signer, epoch=2) as server, listening.serve(server):
            assert await becomes(lambda: agent.ports("q1") == {21})
            assert await becomes(lambda: facts(server, host.name).get("trouble") == "")
        async with Server(store, signer) as server, listening.serve(server):
            assert await becomes(lambda: "epoch" in facts(server, host.name).get("trouble", ""))
            assert agent.ports("q1") == {21}


def facts(server: Server, host: HostName) -> dict[str, Any]:
    if server.mirror.get(f"host/{host}") is None:
        return {}
    return dict(server.hosts.show(host)["agent"])


# -- silence ---------------------------------------------------------------------------------------


async def test_a_silent_host_makes_its_assignments_stale(tmp_path: Path) -> None:
    """When the lease ran out the status says so, with what was said last; then it comes back."""
    listening, store, signer = Listening(), MemoryStore(), new_signer()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    async with Server(store, signer, lease_s=0.6) as server, listening.serve(server):
        pinned = pin(server, tmp_path / "pin")
        async with host.agent(listening.url, pinned):
            assert await becomes(lambda: server.feed.is_watched_by(host.name))
            router = await server.declare("r1", [("a", "q1")], FTP)
            assert await server.board.settled(router.id, router.serial, 10)
            assert await becomes(lambda: server.mirror.get("lease/a"))
            assert server.board.of(router)[FTP.id].state is State.ACTIVE
        assert await becomes(lambda: server.board.of(router)[FTP.id].state is State.STALE)
        reason = server.board.of(router)[FTP.id].reason
        assert "its host is silent since 20" in reason and "it said last: active" in reason
        assert not await server.board.settled(router.id, router.serial + 1, 10)
        async with host.agent(listening.url, pinned):
            assert await becomes(lambda: server.board.of(router)[FTP.id].state is State.ACTIVE)


async def test_a_restarted_server_takes_nobody_for_dead(tmp_path: Path) -> None:
    """The lease in the store covers the time until its agents have come back."""
    listening, store, signer = Listening(), MemoryStore(), new_signer()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    async with (
        Server(store, signer, lease_s=60.0) as server,
        listening.serve(server),
        host.agent(listening.url, pin(server, tmp_path / "pin")),
    ):
        assert await becomes(lambda: server.mirror.get("lease/a"))
    async with Server(store, signer, lease_s=60.0) as server:
        assert server.hosts.is_alive(host.name)


async def test_a_server_that_says_nothing_is_left(tmp_path: Path) -> None:
    """Without heartbeats a connection may be dead for all that anybody knows."""
    listening = Listening()
    host = ScriptedHost("a", tmp_path / "a")
    async with Server(MemoryStore(), new_signer(), heartbeat_s=600.0) as server:
        gate = Gate(server.app)
        async with (
            listening.serve_app(gate, server.end_streams),
            host.agent(listening.url, pin(server, tmp_path / "pin"), silence_s=0.2),
        ):
            assert await becomes(lambda: len(gate.asked_s) >= 3)


async def test_heartbeats_keep_a_quiet_stream(tmp_path: Path) -> None:
    """With heartbeats it stays open, however little happens."""
    listening = Listening()
    host = ScriptedHost("a", tmp_path / "a")
    async with Server(MemoryStore(), new_signer(), heartbeat_s=0.3) as server:
        gate = Gate(server.app)
        async with (
            listening.serve_app(gate, server.end_streams),
            host.agent(listening.url, pin(server, tmp_path / "pin"), silence_s=2.0),
        ):
            assert await becomes(lambda: gate.sent >= 12)
            assert len(gate.asked_s) == 1


# -- slow readers ----------------------------------------------------------------------------------


def test_a_full_mailbox_is_closed() -> None:
    """What does not fit cuts the reader: nothing is ever left out in the middle."""
    mailbox = Mailbox(10)
    mailbox.put(b"12345")
    mailbox.put(b"67890")
    assert not mailbox.cut
    mailbox.put(b"1")
    assert (mailbox.cut, mailbox.closed, mailbox.empty) == (True, True, True)


@asynccontextmanager
async def sleeper(listening: Listening, host: str) -> AsyncIterator[socket.socket]:
    """A connection that asks for a stream and does not read it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", listening.port))
        client.sendall(
            f"GET /v1/hosts/{host}/watch HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer host:{host}\r\n\r\n".encode()
        )
        yield client


async def test_a_slow_reader_is_cut_and_the_others_notice_nothing(tmp_path: Path) -> None:
    """It costs its mailbox; the agent of the same host hears everything meanwhile."""
    listening = Listening()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    many = tuple(
        Assignment(AssignmentId(f"tcp/{port}"), "ftp", FTP.protocol, port)
        for port in range(1000, 1200)
    )
    async with (
        Server(MemoryStore(), new_signer(), capacity=300_000, heartbeat_s=60.0) as server,
        listening.serve(server),
        host.agent(listening.url, pin(server, tmp_path / "pin")) as agent,
        sleeper(listening, "a") as asleep,
    ):
        assert await becomes(lambda: server.feed.watching == 2)
        router = await server.declare("r1", [("a", "q1")], *many)
        for _ in range(400):
            router = await server.change("r1", *many[: 199 if router.serial % 2 else 200])
            if server.feed.cut:
                break
        assert server.feed.cut == 1
        assert await server.board.settled(router.id, router.serial, 30)
        assert len(agent.ports("q1")) == len(router.helpers)
        # Awake, it reads to the end: whole lines, and an end that says to ask again.
        asleep.settimeout(10)
        received = await asyncio.to_thread(_to_the_end, asleep)
        assert received.endswith(b"0\r\n\r\n")
        assert await becomes(lambda: server.feed.watching == 1)


def _to_the_end(client: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        part = client.recv(1 << 20)
        if not part:
            break
        received += part
    return received


async def test_a_resumed_stream_tells_only_what_is_new(tmp_path: Path) -> None:
    """What has no higher revision than the host heard is not told again, but for the manifest."""
    async with Server(MemoryStore(), new_signer()) as server:
        await server.declare("r1", [("a", "q1")], FTP)
        first = await said(server, None)
        assert [each["type"] for each in first] == ["document", "in-sync"]
        await server.declare("r2", [("a", "q2")], FTP)
        again = await said(server, (1, first[-1]["revision"]))
        assert [each.get("document") for each in again] == ["r2/q2", None]
        manifest = json.loads(again[-1]["manifest"]["payload"])
        assert sorted(manifest["documents"]) == ["r1/q1", "r2/q2"]
        of_another_epoch = await said(server, (2, first[-1]["revision"]))
        assert len(of_another_epoch) == 3


async def said(server: Server, since: tuple[int, int] | None) -> list[dict[str, Any]]:
    """What a watch begins with."""
    known = Since(since[0], Revision(since[1])) if since else None
    watch = await server.feed.join(HostName("a"), known)
    server.feed.leave(watch)
    return [json.loads(line) for line in b"".join(watch.beginning).splitlines()]
