"""What users can watch happen, and what they may not see."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ctherd.model.router import ProjectId
from ctherd.reconcile.reconciler import Report
from ctherd.testing.memory_store import MemoryStore
from tests.follow.agents import ScriptedHost
from tests.follow.conftest import ask, becomes
from tests.follow.server import Listening, Server, new_signer, pin
from tests.reconcile.machine import FTP, TFTP, A

pytestmark = pytest.mark.anyio

Events = list[dict[str, Any]]


@asynccontextmanager
async def listening_to(
    url: str, token: str, query: str = "", accept: str = "application/json"
) -> AsyncIterator[Events]:
    """A user who watches; entered when the stream is there."""
    events: Events = []
    headers = {"Authorization": f"Bearer {token}", "Accept": accept}

    async def listen() -> None:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=30) as client,
            client.stream("GET", f"{url}/v1/events{query}", headers=headers) as response,
        ):
            async for line in response.aiter_lines():
                text = line.removeprefix("data: ")
                if text.startswith("{"):
                    events.append(json.loads(text))

    task = asyncio.create_task(listen())
    try:
        assert await becomes(lambda: events)
        yield events
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def told(events: Events, **expected: Any) -> Callable[[], bool]:
    """Whether an event with these members was told."""
    return lambda: any(expected.items() <= event.items() for event in events)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_user_sees_what_happens_in_his_project(tmp_path: Path, accept: str) -> None:
    """Declarations with their helpers, then what the kernel made of them, family by family."""
    listening = Listening()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        host.agent(listening.url, pin(server, tmp_path / "pin")) as agent,
        listening_to(listening.url, "member:blue", accept=accept) as events,
    ):
        await server.declare("r1", [("a", "q1")], FTP)
        assert await becomes(told(events, type="router", change="declared", router="r1"))
        assert told(events, type="helper", change="declared", router="r1")()
        expected = {"type": "status", "router": "r1", "helper": FTP.id}
        assert await becomes(told(events, **expected, family="ipv4", status="active"))
        await server.change("r1", TFTP)
        assert await becomes(told(events, type="helper", change="deleted", router="r1"))
        agent.source.repaired(Report(A, "r1"), 0.0021)  # type: ignore[arg-type]
        assert await becomes(told(events, type="repaired", router="r1", ms=2.1))
        await server.withdraw("r1")
        assert await becomes(told(events, type="router", change="deleted", router="r1"))


async def test_nobody_sees_what_happens_elsewhere(tmp_path: Path) -> None:
    """Another project hears nothing of it, an administrator everything, hosts included."""
    listening = Listening()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        listening_to(listening.url, "member:red") as red,
        listening_to(listening.url, "admin") as everything,
        listening_to(listening.url, "admin", "?project=blue") as blue,
        host.agent(listening.url, pin(server, tmp_path / "pin")),
    ):
        assert await becomes(told(everything, type="host", host="a", alive=True))
        await server.declare("r1", [("a", "q1")], FTP)
        for events in (everything, blue):
            assert await becomes(told(events, type="status", router="r1", status="active"))
        assert [each["type"] for each in red] == ["in-sync"]
        assert not told(blue, type="host")()


async def test_tenants_do_not_learn_where_their_routers_are(tmp_path: Path) -> None:
    """Not even from the words of a host that refuses a document; administrators see all of it."""
    listening = Listening()
    host = ScriptedHost("a-host", tmp_path / "a", "a-netns")
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        listening_to(listening.url, "member:blue") as tenant,
        listening_to(listening.url, "admin") as admin,
        host.agent(listening.url, pin(server, tmp_path / "pin")) as agent,
    ):
        await server.declare("r1", [("a-host", "a-netns")], FTP)
        place = {"host": "a-host", "netns": "a-netns"}
        assert await becomes(told(admin, type="status", status="active", **place))
        agent.source.repaired(Report(A, "r1"), 0.0021)  # type: ignore[arg-type]
        assert await becomes(told(admin, type="repaired", ms=2.1))
        unbelieved = {"router": "r1", "netns": "a-netns", "reason": "signed for a-host"}
        body = {"agent": {}, "refused": [unbelieved]}
        path = "/v1/hosts/a-host/report"
        said = await ask(listening.url, "POST", path, token="host:a-host", body=body)
        assert said.status == 200
        assert await becomes(told(admin, type="refused", reason="signed for a-host", **place))
        kinds = {"router", "helper", "status", "repaired", "refused"}
        assert await becomes(lambda: kinds <= {each["type"] for each in tenant})
        assert not re.search("a-host|a-netns|placements", json.dumps(tenant))
        assert await becomes(told(admin, placements=[["a-host", "a-netns"]]))


@pytest.mark.parametrize(
    ("token", "query", "status"),
    [("", "", 401), ("host:a", "", 403), ("member:red", "?project=blue", 403)],
)
async def test_who_may_not_listen(token: str, query: str, status: int) -> None:
    """Strangers, agents, and members who ask for another project; who is known is audited."""
    listening = Listening()
    async with Server(MemoryStore(), new_signer()) as server, listening.serve(server):
        assert (await ask(listening.url, "GET", f"/v1/events{query}", token=token)).status == status
        page = await server.store.page("audit/")
        assert sum(b'"denied"' in each.value for each in page) == bool(token)


async def test_a_router_that_changes_hands_is_told_to_whom_it_belongs(tmp_path: Path) -> None:
    """An event goes to the project that owns the router at that moment."""
    listening = Listening()
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        listening_to(listening.url, "member:red") as red,
    ):
        router = await server.declare("r1", [], FTP)
        kept = server.book.find(router.id)
        assert kept is not None
        after = replace(kept.router, project=ProjectId("red"))
        await server._commit(
            server.publisher.change(kept.router, kept.revision, after, "2026-01-01T00:00:00Z")
        )
        assert await becomes(told(red, type="router", router="r1", project="red"))


async def test_who_comes_while_the_server_ends_is_let_go() -> None:
    """A stream that nobody ends would hold the server up."""
    async with Server(MemoryStore(), new_signer()) as server:
        early = server.happenings.listen(None, repr_of, sees_places=True)
        server.happenings.end()
        late = server.happenings.listen(None, repr_of, sees_places=True)
        assert (early.mailbox.closed, late.mailbox.closed) == (True, True)


def repr_of(event: dict[str, Any]) -> bytes:
    return repr(event).encode()
