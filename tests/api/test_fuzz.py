"""Whatever is sent: never a 500, always the shape of an error that clients know."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctherd.model.catalog import names
from tests.api.server import Client, error_of, helpers_of, running

pytestmark = pytest.mark.slow

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_ALMOST = {
    "protocol": st.sampled_from(["tcp", "udp", "UDP", "sctp", "17", "x"]) | _JSON,
    "port": st.sampled_from([21, 69, "69", 69.0, 0, 65536]) | _JSON,
    "helper": st.sampled_from([*names(), "X"]) | _JSON,
    "destinations": st.lists(st.ip_addresses().map(str) | st.text(), max_size=3) | _JSON,
    "description": st.text() | _JSON,
    "project_id": st.sampled_from(["mine", "others"]) | _JSON,
    "id": _JSON,
    "status": _JSON,
}
_HELPER = st.fixed_dictionaries({}, optional=_ALMOST)
_ROUTER = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text() | _JSON,
        "description": st.text() | _JSON,
        "admin_state_up": st.sampled_from([True, "no", 2]) | _JSON,
        "external_gateway_info": st.fixed_dictionaries(
            {}, optional={"network_id": st.uuids().map(str) | _JSON, "enable_snat": _JSON}
        )
        | _JSON,
        "routes": st.lists(_JSON, max_size=2) | _JSON,
        "placements": st.lists(
            st.fixed_dictionaries({"host": st.text() | _JSON}, optional={"netns": _JSON}),
            max_size=2,
        )
        | _JSON,
        "project_id": st.text() | _JSON,
        "tenant_id": st.text() | _JSON,
    },
)


def _bodies(name: str, inner: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    bulk = st.lists(inner | st.fixed_dictionaries({name: inner}) | _JSON, max_size=3)
    whole = st.fixed_dictionaries({name: inner}) | st.fixed_dictionaries({f"{name}s": bulk}) | _JSON
    return whole.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50)


async def _survives(client: Client, method: str, path: str, content: bytes) -> None:
    answer = await client.ask(method, path, content=content, who="admin")
    assert answer.status_code < 500, answer.text
    assert answer.headers["x-openstack-request-id"]
    if answer.status_code >= 400:
        error_of(answer)
    elif answer.status_code != 204:
        json.loads(answer.content)


@settings(max_examples=200)
@given(_bodies("conntrack_helper", _HELPER), st.sampled_from(["POST", "PUT", "DELETE", "PATCH"]))
def test_any_body_of_a_helper(content: bytes, method: str) -> None:
    """A helper's body may be anything."""

    async def scenario() -> None:
        async with running() as server:
            client = Client(server.app())
            router = await client.router()
            helper = await client.helper(router["id"], port=1)
            member = "" if method == "POST" else helper["id"]
            await _survives(client, method, helpers_of(router["id"], member), content)
            listed = await client.ask(
                "GET", f"{helpers_of(router['id'])}?extension=ctherd-conntrack-helper"
            )
            assert listed.status_code == 200

    asyncio.run(scenario())


@settings(max_examples=200)
@given(_bodies("router", _ROUTER), st.sampled_from(["POST", "PUT"]))
def test_any_body_of_a_router(content: bytes, method: str) -> None:
    """A router's body may be anything; what is accepted can be read again."""

    async def scenario() -> None:
        async with running() as server:
            client = Client(server.app())
            router = await client.router()
            path = "/v2.0/routers" + ("" if method == "POST" else f"/{router['id']}")
            await _survives(client, method, path, content)
            listed = await client.ask(
                "GET", "/v2.0/routers?extension=ctherd-conntrack-helper", who="admin"
            )
            assert listed.status_code == 200
            # What was stored can be opened again: by a server that starts over the same store.
            assert all(server.book.open(each) for each in server.mirror.under("router/"))

    asyncio.run(scenario())


@settings(max_examples=200)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=40),
    st.text(st.characters(codec="utf-8", exclude_characters="#"), max_size=60),
)
def test_any_path_and_query(path: str, query: str) -> None:
    """Whatever is asked for."""

    async def scenario() -> None:
        async with running() as server:
            client = Client(server.app())
            for prefix in ("/v2.0/", "/v2.0/routers/", "/v2.0/routers/x/conntrack_helpers/", "/"):
                url = f"{prefix}{quote(path, safe='/%')}?{quote(query, safe='&=%+')}"
                answer = await client.ask("GET", url)
                assert answer.status_code < 500, answer.text

    asyncio.run(scenario())
