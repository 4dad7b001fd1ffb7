"""Hosts follow their server: declared, changed, moved, withdrawn, over real HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ctherd.model.router import HostName
from ctherd.model.status import State
from ctherd.signing.statements import DocumentId
from ctherd.store.port import Batch
from ctherd.testing.memory_store import MemoryStore
from tests.follow.agents import ScriptedHost
from tests.follow.conftest import ask, becomes
from tests.follow.server import Listening, Server, new_signer, pin
from tests.reconcile.machine import FTP, TFTP

pytestmark = pytest.mark.anyio


async def test_what_is_declared_becomes_true_and_is_reported(tmp_path: Path) -> None:
    """Declare, change and delete a router: the kernel follows, and the status says so."""
    listening = Listening()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        host.agent(listening.url, pin(server, tmp_path / "pin")) as agent,
    ):
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


async def test_every_host_of_a_router_makes_it_true(tmp_path: Path) -> None:
    """A router with two placements has its helpers in both; one host alone makes it partial."""
    listening = Listening()
    one, two = ScriptedHost("a", tmp_path / "a", "q1"), ScriptedHost("b", tmp_path / "b")
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        one.agent(listening.url, pin(server, tmp_path / "pin")),
        two.agent(listening.url, tmp_path / "pin"),
    ):
        assert await becomes(lambda: server.feed.watching == 2)
        router = await server.declare("r1", [("a", "q1"), ("b", "q1")], FTP)
        assert await server.board.settled(router.id, router.serial, 10)
        status = server.board.of(router)[FTP.id]
        assert status.state is State.PARTIAL
        words = "the network namespace does not exist"
        assert status.reason == f"ipv4: pending {words}; ipv6: pending {words}"
        assert {each.state for each in status.details if each.host == "a"} == {State.ACTIVE}


async def test_a_moved_router_leaves_before_it_comes(tmp_path: Path) -> None:
    """At the moment at which the new host is told, the old one's kernel has nothing any more."""
    listening = Listening()
    old, new = ScriptedHost("a", tmp_path / "a", "q1"), ScriptedHost("b", tmp_path / "b", "q1")
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        old.agent(listening.url, pin(server, tmp_path / "pin")) as leaving,
        new.agent(listening.url, tmp_path / "pin") as coming,
    ):
        assert await becomes(lambda: server.feed.watching == 2)
        router = await server.declare("r1", [("a", "q1")], FTP)
        assert await server.board.settled(router.id, router.serial, 10)
        at_publication: list[set[int]] = []

        def look(batch: Batch) -> None:
            if any(each.key == "doc/b/r1/q1" for each in batch.events):
                at_publication.append(leaving.ports("q1"))

        server.mirror.subscribe(look)
        router = await server.change("r1", FTP, placements=[("b", "q1")])
        status = server.board.of(router)[FTP.id]
        words = "waits for the host that it left to withdraw it"
        assert (status.state, status.reason) == (State.PENDING, words)
        assert await server.board.settled(router.id, router.serial + 1, 10)
        assert at_publication == [set()]
        assert (leaving.ports("q1"), coming.ports("q1")) == (set(), {21})


async def test_a_silent_host_is_not_waited_for(tmp_path: Path) -> None:
    """A router moves away from a dead host; who waits for that sees it at the new one."""
    listening = Listening()
    new = ScriptedHost("b", tmp_path / "b", "q1")
    async with (
        Server(MemoryStore(), new_signer(), patience_s=0.0) as server,
        listening.serve(server),
        new.agent(listening.url, pin(server, tmp_path / "pin")) as coming,
    ):
        assert await becomes(lambda: server.feed.watching == 1)
        await server.declare("r1", [("a", "q1")], FTP)
        router = await server.change("r1", FTP, placements=[("b", "q1")])
        assert await server.board.settled(router.id, router.serial, 20)
        assert coming.ports("q1") == {21}
        # A deleted router is not settled while a dead host has it, and that is known at once.
        await server.change("r1", FTP, placements=[("a", "q1")])
        assert await becomes(lambda: coming.ports("q1") == set())
        await server.withdraw("r1")
        assert not await server.board.settled(router.id, router.serial + 9, 20)


async def test_a_dead_host_is_forgotten_with_what_it_owes(tmp_path: Path) -> None:
    """An administrator deletes it; its tombstones count as obeyed, and its places are free."""
    listening = Listening()
    async with Server(MemoryStore(), new_signer()) as server, listening.serve(server):
        await server.declare("r1", [("a", "q1")], FTP)
        await server.put("host/a", b"{}")
        async with asyncio.timeout(10):
            refused = await ask(listening.url, "DELETE", "/v1/hosts/a")
            assert (refused.status, "r1" in refused.text) == (409, True)
            await server.withdraw("r1")
            assert (await ask(listening.url, "DELETE", "/v1/hosts/a")).status == 204
        assert not [*server.mirror.under("doc/"), *server.mirror.under("place/")]
        assert server.mirror.get("host/a") is None


async def test_a_host_that_never_was_is_forgotten_too(tmp_path: Path) -> None:
    """A router was placed by a name that nobody bears: nobody else could clear that place."""
    listening = Listening()
    async with Server(MemoryStore(), new_signer()) as server, listening.serve(server):
        await server.declare("r1", [("mistyped", "q1")], FTP)
        listed = json.loads((await ask(listening.url, "GET", "/v1/hosts")).text)["hosts"]
        assert [(each["host"], each["alive"], each["routers"]) for each in listed] == [
            ("mistyped", False, 1)
        ]
        await server.withdraw("r1")
        assert server.documents.tombstones()
        assert (await ask(listening.url, "DELETE", "/v1/hosts/mistyped")).status == 204
        assert not [*server.mirror.under("doc/"), *server.mirror.under("place/")]
        assert (await ask(listening.url, "DELETE", "/v1/hosts/mistyped")).status == 404


async def test_a_live_host_is_not_forgotten(tmp_path: Path) -> None:
    """Its agent would come back in a moment, and nobody would know why."""
    listening = Listening()
    host = ScriptedHost("a", tmp_path / "a")
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        host.agent(listening.url, pin(server, tmp_path / "pin")),
    ):
        assert await becomes(lambda: server.mirror.get("host/a"))
        answer = await ask(listening.url, "DELETE", "/v1/hosts/a")
        assert (answer.status, "alive" in answer.text) == (409, True)


# -- who may ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["host:b", "member:blue", ""])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/hosts"),
        ("GET", "/v1/hosts/a"),
        ("DELETE", "/v1/hosts/a"),
        ("GET", "/v1/hosts/a/watch"),
        ("POST", "/v1/hosts/a/report"),
    ],
)
async def test_a_host_is_nobody_elses_business(token: str, method: str, path: str) -> None:
    """Another host, a tenant, a stranger: refused, and audited if it is known who it was."""
    listening = Listening()
    async with Server(MemoryStore(), new_signer()) as server, listening.serve(server):
        answer = await ask(listening.url, method, path, token=token, body={"agent": {}})
        assert answer.status == (403 if token else 401)
        await server.committer.close()
        page = await server.store.page("audit/")
        denied = [each for each in page if b'"denied"' in each.value]
        assert len(denied) == bool(token)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"agent": []},
        {"agent": {}, "more": 1},
        {"agent": {"password": "x"}},
        {"agent": {}, "routers": {}},
        {"agent": {}, "routers": [{"router": "r1"}]},
        {"agent": {}, "withdrawn": [{"router": "a/b", "netns": "q", "version": [1, 1]}]},
        {"agent": {}, "withdrawn": [{"router": "a", "netns": "q", "version": [1]}]},
        {"agent": {}, "withdrawn": [{"router": "a", "netns": "q", "version": ["1", 1]}]},
        {"agent": {}, "refused": [{"router": "", "netns": "q", "reason": ""}]},
        {"agent": {}, "refused": [{"router": "r", "netns": "q", "reason": 1}]},
        {"agent": {}, "happenings": [{"what": "lottery"}]},
        {"agent": {}, "refused": [{"router": "r", "netns": "q", "reason": ""}] * 1001},
    ],
)
async def test_a_report_is_read_strictly(body: object) -> None:
    """What is no report is 400, and nothing is written."""
    listening = Listening()
    async with Server(MemoryStore(), new_signer()) as server, listening.serve(server):
        before = server.mirror.revision
        answer = await ask(listening.url, "POST", "/v1/hosts/a/report", token="host:a", body=body)
        assert answer.status == 400
        assert server.mirror.under("status/") == []
        assert server.mirror.revision == before


async def test_a_host_reports_on_its_own_documents_alone(tmp_path: Path) -> None:
    """Nobody can say that a router fares well, or was withdrawn, where it is not his."""
    listening = Listening()
    async with Server(MemoryStore(), new_signer()) as server, listening.serve(server):
        await server.declare("r1", [("a", "q1")], FTP)
        body = await withdrawal(server)
        body["routers"] = [{"router": "r1", "netns": "q1", "version": [1, 1], "assignments": {}}]
        body["refused"] = [{"router": "r1", "netns": "q1", "reason": "no"}]
        answer = await ask(listening.url, "POST", "/v1/hosts/b/report", token="host:b", body=body)
        assert answer.status == 200
        assert server.mirror.under("status/") == []
        assert len(server.documents.of_host(HostName("a"))) == 2


@pytest.mark.parametrize("other", [[1, 1], [1, 3], [2, 2]])
async def test_only_the_tombstone_that_stands_is_acknowledged(other: list[int]) -> None:
    """A late word on an older one takes nothing away, and a status of what goes is not kept."""
    listening = Listening()
    async with Server(MemoryStore(), new_signer()) as server, listening.serve(server):
        body = await withdrawal(server)
        (words,) = body["withdrawn"]
        version = words["version"]
        words["version"] = other
        body["routers"] = [{"router": "r2", "netns": "q2", "version": other, "assignments": {}}]
        await ask(listening.url, "POST", "/v1/hosts/a/report", token="host:a", body=body)
        assert server.mirror.get("doc/a/r2/q2") is not None
        assert server.mirror.under("status/") == []
        words["version"] = version
        await ask(listening.url, "POST", "/v1/hosts/a/report", token="host:a", body=body)
        assert server.mirror.get("doc/a/r2/q2") is None


async def withdrawal(server: Server) -> dict[str, Any]:
    """Withdraw router r2 from q2 of host a, and return the report that acknowledges it."""
    await server.declare("r2", [("a", "q2")], FTP)
    await server.withdraw("r2")
    version = server.documents.of_host(HostName("a"))[DocumentId("r2/q2")].version
    assert version is not None
    withdrawn = {"router": "r2", "netns": "q2", "version": list(version)}
    return {"agent": {}, "withdrawn": [withdrawn]}
