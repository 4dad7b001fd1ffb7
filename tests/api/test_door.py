"""What happens to every request: ids, bounds, overload, failures, health and metrics."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ctherd.api.limits import Limits
from ctherd.api.request_id import RequestIdFilter
from ctherd.errors import DataplaneError
from ctherd.testing.memory_store import Fault, MemoryStore
from tests.api.server import Client, Server, error_of, helpers_of, running

OURS = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
METRICS = Path(__file__).parents[2] / "docs" / "metrics.md"
TFTP = {"conntrack_helper": {"protocol": "udp", "port": 69, "helper": "tftp"}}


async def test_every_answer_has_an_id_of_its_own(client: Client) -> None:
    """Good ones, errors, and those of nobody; never the one that the client sent."""
    theirs = "req-00000000-0000-4000-8000-000000000000"
    seen = {theirs}
    for path, who in [
        ("/v2.0/routers", "member"),
        ("/v2.0/routers/x", "member"),
        ("/v2.0/routers", ""),
        ("/nothing", "member"),
        ("/healthz", ""),
    ]:
        answer = await client.ask("GET", path, who=who, headers={"X-Openstack-Request-Id": theirs})
        found = answer.headers.get_list("x-openstack-request-id")
        assert len(found) == 1 and OURS.fullmatch(found[0])
        assert found[0] not in seen
        seen.add(found[0])


async def test_what_is_logged_meanwhile_bears_the_id(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours, and the client's beside it; what is no such id is not repeated in a log."""
    caplog.handler.addFilter(RequestIdFilter())
    theirs = "req-00000000-0000-4000-8000-000000000000"
    with caplog.at_level(logging.INFO, logger="ctherd.api"):
        answer = await client.ask(
            "GET", "/v2.0/routers/a%0Ab", headers={"X-Openstack-Request-Id": theirs}
        )
        await client.ask("GET", "/v2.0/routers", headers={"X-Openstack-Request-Id": "evil"})
    first, second = (each for each in caplog.records if each.name == "ctherd.api.door")
    ours = answer.headers["x-openstack-request-id"]
    assert first.__dict__["request_id"] == f"{ours} {theirs}"
    assert "evil" not in second.__dict__["request_id"]
    assert "\n" not in first.getMessage()
    assert re.fullmatch(
        r"GET /v2.0/routers/a%0Ab: 404 in [0-9.]+ ms for mia of mine", first.getMessage()
    )


async def _broken(_: Request) -> Response:
    raise RuntimeError("a secret of ours")


async def _refused_by_kernel(_: Request) -> Response:
    raise DataplaneError("commit", errno=2)


@pytest.mark.parametrize("fails", [_broken, _refused_by_kernel])
async def test_nothing_of_a_failure_reaches_the_client(
    server: Server, caplog: pytest.LogCaptureFixture, fails: object
) -> None:
    """500 in the usual shape; the traceback is in the log, once, with the request's id."""
    caplog.handler.addFilter(RequestIdFilter())
    client = Client(server.app(Route("/v1/broken", fails)))  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        answer = await client.ask("GET", "/v1/broken")
    assert error_of(answer) == (
        500,
        "HTTPInternalServerError",
        "Request Failed: internal server error while processing your request.",
    )
    (record,) = caplog.records
    assert record.exc_info
    assert record.__dict__["request_id"] == answer.headers["x-openstack-request-id"]


async def test_a_failure_below_the_tenants_api(
    server: Server, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """The same for /v2.0: whatever a use case raises that nobody expected."""

    def fail(_: object) -> object:
        raise RuntimeError("a secret of ours")

    server.book.find = fail  # type: ignore[method-assign, assignment]
    with caplog.at_level(logging.ERROR):
        answer = await client.ask("GET", "/v2.0/routers/x")
    assert error_of(answer)[0:2] == (500, "HTTPInternalServerError")
    assert "secret" not in answer.text
    assert len([each for each in caplog.records if each.exc_info]) == 1


# -- bounds ----------------------------------------------------------------------------------------


@pytest.fixture
async def narrow() -> AsyncIterator[Server]:
    limits = Limits(body_bytes=1000, body_s=0.05, in_flight=2, per_caller=1)
    async with running(limits=limits) as server:
        yield server


async def test_a_body_that_is_too_large(narrow: Server) -> None:
    """413, whether the length was announced or not; and nothing is read beyond the bound."""
    client = Client(narrow.app())
    answer = await client.ask("POST", "/v2.0/routers", content=b"x" * 1001)
    assert error_of(answer)[0:2] == (413, "HTTPRequestEntityTooLarge")
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b"x" * 100

    streamed = await client.ask("POST", "/v2.0/routers", content=endless())
    assert error_of(streamed)[0:2] == (413, "HTTPRequestEntityTooLarge")
    assert sent <= 1200


async def test_a_body_that_never_comes(narrow: Server) -> None:
    """408 after the time that a client has to send it."""

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    answer = await Client(narrow.app()).ask("POST", "/v2.0/routers", content=never())
    assert error_of(answer)[0:2] == (408, "HTTPRequestTimeout")


async def test_overload_is_refused_and_passes(narrow: Server) -> None:
    """Beyond its share a caller gets 429, beyond ours everybody 503, both with Retry-After."""
    release = asyncio.Event()
    arrived = asyncio.Semaphore(0)

    async def slow(*_: object) -> bool:
        arrived.release()
        await release.wait()
        return True

    narrow.board.settled = slow  # type: ignore[method-assign, assignment]
    client = Client(narrow.app())
    one = asyncio.create_task(client.ask("POST", "/v2.0/routers?wait=5", {"router": {}}))
    await arrived.acquire()
    greedy = await client.ask("GET", "/v2.0/routers")
    assert error_of(greedy)[0:2] == (429, "HTTPTooManyRequests")
    two = asyncio.create_task(
        client.ask("POST", "/v2.0/routers?wait=5", {"router": {}}, who="outsider")
    )
    await arrived.acquire()
    late = await client.ask("GET", "/v2.0/routers", who="admin")
    assert error_of(late)[0:2] == (503, "HTTPServiceUnavailable")
    assert greedy.headers["retry-after"] == late.headers["retry-after"] == "1"
    assert (await client.ask("GET", "/healthz")).status_code == 200
    release.set()
    assert [(await each).status_code for each in (one, two)] == [201, 201]
    assert (await client.ask("GET", "/v2.0/routers")).status_code == 200


async def test_a_store_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """Changes are 503 with Retry-After and change nothing; reading goes on."""
    store = MemoryStore()
    async with running(store) as server:
        client = Client(server.app())
        router = await client.router()
        store.away = "the disk is full"
        answer = await client.ask("POST", helpers_of(router["id"]), TFTP)
        assert error_of(answer)[0] == 503
        assert answer.headers["retry-after"]
        assert "disk" not in answer.text
        assert any("the disk is full" in each.getMessage() for each in caplog.records)
        shown = await client.ask("GET", f"/v2.0/routers/{router['id']}")
        assert shown.json()["router"]["conntrack_helpers"] == []
        store.away = ""
        await client.helper(router["id"])


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER])
async def test_an_answer_of_the_store_that_is_lost(fault: Fault) -> None:
    """A change whose outcome was unknown is made exactly once."""
    store = MemoryStore()
    async with running(store) as server:
        client = Client(server.app())
        router = await client.router()
        store.plant(fault)
        await client.helper(router["id"])
        listed = (await client.ask("GET", helpers_of(router["id"]))).json()
        assert len(listed["conntrack_helpers"]) == 1


# -- health and metrics ----------------------------------------------------------------------------


async def test_health(server: Server, client: Client) -> None:
    """Alive as long as it answers; ready unless something says why not."""
    assert (await client.ask("GET", "/healthz", who="")).json() == {"status": "alive"}
    ready = await client.ask("GET", "/readyz", who="")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "troubles": []})
    server.troubles.append("the mirror is stale")
    troubled = await client.ask("GET", "/readyz", who="")
    assert troubled.status_code == 503
    assert troubled.json()["troubles"] == ["the mirror is stale"]


async def test_metrics(client: Client) -> None:
    """Requests by route, method and status, never by id; for administrators."""
    router = await client.router()
    await client.ask("GET", f"/v2.0/routers/{router['id']}")
    await client.ask("GET", "/v2.0/routers/nothing")
    assert error_of(await client.ask("GET", "/metrics"))[0] == 403
    await client.ask("GET", "/healthz")
    text = (await client.ask("GET", "/metrics", who="admin")).text
    routes = 'ctherd_api_requests_total{method="GET",route="/v2.0/routers/{id}",status="%d"} 1.0'
    assert routes % 200 in text and routes % 404 in text
    assert 'ctherd_api_request_seconds_count{method="POST",route="/v2.0/routers"} 1.0' in text
    assert router["id"] not in text
    assert 'route="/healthz",status="200"' in text
    families = text_string_to_metric_families(text)
    names = {each.name for family in families for each in family.samples}
    served = {re.sub("_(bucket|count|sum)$", "", each) for each in names if "_created" not in each}
    assert served == set(re.findall(r"`(ctherd_api_\w+)", METRICS.read_text()))


async def test_docs_come_from_this_server_alone(client: Client) -> None:
    """The pages, their script and style are served here, and name no other place."""
    page = await client.ask("GET", "/docs", who="")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "//" not in page.text
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert (await client.ask("GET", f"/{path}", who="")).status_code == 200
    document = (await client.ask("GET", "/openapi.json", who="")).json()
    assert "/v2.0/routers/{router_id}/conntrack_helpers" in document["paths"]
    missing = await client.ask("GET", "/docs/assets/nothing.js", who="")
    assert error_of(missing)[0:2] == (404, "HTTPNotFound")
