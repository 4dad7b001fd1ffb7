"""Reading lists as the contract has it: filters, fields, order, pages and their links."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.api import listing
from ctherd.api.helper_attributes import HELPERS
from ctherd.api.neutron_errors import Refused
from tests.api.server import Client, error_of, helpers_of

FOUR = [
    {"protocol": "udp", "port": 69, "helper": "tftp"},
    {"protocol": "tcp", "port": 21, "helper": "ftp"},
    {"protocol": "udp", "port": 5060, "helper": "sip"},
    {"protocol": "tcp", "port": 5060, "helper": "sip"},
]


@pytest.fixture
async def router(client: Client) -> str:
    """Return a router with FOUR helpers."""
    router = await client.router()
    body = {"conntrack_helpers": FOUR}
    assert (await client.ask("POST", helpers_of(router["id"]), body)).status_code == 201
    return str(router["id"])


async def listed(client: Client, router: str, query: str) -> list[dict[str, Any]]:
    answer = await client.ask("GET", f"{helpers_of(router)}?{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["conntrack_helpers"]
    return found


@pytest.mark.parametrize(
    ("query", "ports"),
    [
        ("protocol=udp", [69, 5060]),
        ("port=5060", [5060, 5060]),
        ("port=69&port=21", [21, 69]),
        ("port=5060&protocol=tcp", [5060]),
        ("helper=sip&helper=ftp", [21, 5060, 5060]),
        ("helper=SIP", []),
        ("protocol=UDP", []),
        ("port=", [21, 69, 5060, 5060]),
        ("id=nothing", []),
    ],
)
async def test_filters(client: Client, router: str, query: str, ports: list[int]) -> None:
    """Repeats of a filter are OR, different filters AND; an empty one is none."""
    found = await listed(client, router, query)
    assert sorted(each["port"] for each in found) == sorted(ports)


@pytest.mark.parametrize(
    ("query", "type", "message"),
    [
        ("foo=1", "HTTPBadRequest", "['foo'] is invalid attribute for filtering"),
        (
            "status_reason=x",
            "HTTPBadRequest",
            "['status_reason'] is invalid attribute for filtering",
        ),
        ("port=abc", "InvalidInput", "Invalid input for operation: 'abc' is not an integer."),
        ("protocol=foo", "InvalidInput", None),
        ("limit=-1", "BadRequest", None),
        (
            "limit=x",
            "BadRequest",
            "Bad limit request: Limit must be an integer 0 or greater and not 'x'.",
        ),
        ("limit=", "BadRequest", None),
        (
            "sort_key=port",
            "HTTPBadRequest",
            "The number of sort_keys and sort_dirs must be same",
        ),
        (
            "sort_key=foo&sort_dir=asc",
            "HTTPBadRequest",
            "['foo'] is invalid attribute for sort_keys",
        ),
        (
            "sort_key=port&sort_dir=up",
            "HTTPBadRequest",
            "['up'] is invalid value for sort_dirs, valid value is 'asc' and 'desc'",
        ),
        ("sort_key=port&sort_dir=asc&limit=1&marker=nobody", "BadRequest", None),
        ("extension=foo", "HTTPBadRequest", None),
        ("&".join(f"port={each}" for each in range(1001)), "HTTPBadRequest", None),
    ],
)
async def test_a_query_that_cannot_be_meant(
    client: Client, router: str, query: str, type: str, message: str | None
) -> None:
    """400, in the reference's words where it has any."""
    answer = await client.ask("GET", f"{helpers_of(router)}?{query}")
    status, found_type, found = error_of(answer)
    assert (status, found_type) == (400, type)
    assert message is None or found == message


async def test_fields_select_what_is_shown(client: Client, router: str) -> None:
    """Unknown fields show nothing; on one helper, too."""
    assert await listed(client, router, "fields=port&helper=tftp") == [{"port": 69}]
    assert await listed(client, router, "fields=foo&helper=tftp") == [{}]
    both = await listed(client, router, "fields=port&fields=helper&helper=tftp")
    assert both == [{"port": 69, "helper": "tftp"}]
    helper = (await listed(client, router, "helper=tftp"))[0]["id"]
    shown = await client.ask("GET", f"{helpers_of(router, helper)}?fields=protocol")
    assert shown.json() == {"conntrack_helper": {"protocol": "udp"}}


async def test_the_order_is_by_id_unless_asked_otherwise(client: Client, router: str) -> None:
    """Keys pair up with directions; what they leave open is decided by the id."""
    ids = [each["id"] for each in await listed(client, router, "")]
    assert ids == sorted(ids)
    found = await listed(
        client, router, "sort_key=port&sort_dir=desc&sort_key=protocol&sort_dir=asc"
    )
    assert [(each["port"], each["protocol"]) for each in found] == [
        (5060, "tcp"),
        (5060, "udp"),
        (69, "udp"),
        (21, "tcp"),
    ]


async def pages(client: Client, path: str, rel: str) -> Iterator[list[str]]:
    """Follow links as the SDK does: until there is none, or a page is empty."""
    found: list[list[str]] = []
    url: str | None = path
    while url:
        said = (await client.ask("GET", url)).json()
        ids = [each["id"] for each in said["conntrack_helpers"]]
        if not ids:
            break
        found.append(ids)
        assert len(found) < 10, "the pages never end"
        links = {each["rel"]: each["href"] for each in said.get("conntrack_helpers_links", [])}
        url = links.get(rel)
    return iter(found)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("order", ["", "&sort_key=port&sort_dir=desc"])
async def test_pages_there_and_back(client: Client, router: str, limit: int, order: str) -> None:
    """Following ``next`` shows everything once, in order; ``previous`` leads back the same way."""
    every = [each["id"] for each in await listed(client, router, order.lstrip("&"))]
    path = f"{helpers_of(router)}?limit={limit}{order}"
    there = list(await pages(client, path, "next"))
    assert [each for page in there for each in page] == every
    assert all(len(page) == limit for page in there[:-1])
    last = f"{path}&page_reverse=True"
    back = list(await pages(client, last, "previous"))
    assert [each for page in reversed(back) for each in page] == every


async def test_the_links_of_a_page(client: Client, router: str) -> None:
    """A full page has a next even if it is the last; the first has a previous."""
    path = helpers_of(router)
    answer = await client.ask("GET", f"{path}?limit=4&protocol=udp&protocol=tcp")
    said = answer.json()
    links = {each["rel"]: urlsplit(each["href"]) for each in said["conntrack_helpers_links"]}
    first, last = said["conntrack_helpers"][0]["id"], said["conntrack_helpers"][-1]["id"]
    kept = [("limit", "4"), ("protocol", "udp"), ("protocol", "tcp")]
    assert parse_qsl(links["next"].query) == [*kept, ("marker", last)]
    assert parse_qsl(links["previous"].query) == [
        *kept,
        ("marker", first),
        ("page_reverse", "True"),
    ]
    assert links["next"].geturl().startswith(f"http://ctherd.test{path}?")
    partial = (await client.ask("GET", f"{path}?limit=5")).json()["conntrack_helpers_links"]
    assert [each["rel"] for each in partial] == ["previous"]
    back = (await client.ask("GET", f"{path}?limit=5&page_reverse=True")).json()
    assert [each["rel"] for each in back["conntrack_helpers_links"]] == ["next"]


@pytest.mark.parametrize("query", ["", "limit=0", "marker=x", "page_reverse=True"])
async def test_there_are_no_links_without_a_limit(client: Client, router: str, query: str) -> None:
    said = (await client.ask("GET", f"{helpers_of(router)}?{query}")).json()
    assert "conntrack_helpers_links" not in said
    assert len(said["conntrack_helpers"]) == 4


async def test_who_deletes_what_it_lists_gets_to_the_end(client: Client, router: str) -> None:
    """A marker that was deleted meanwhile still says where to go on."""
    path = f"{helpers_of(router)}?limit=1"
    seen: list[str] = []
    while True:
        marker = f"&marker={seen[-1]}" if seen else ""
        page = (await client.ask("GET", path + marker)).json()["conntrack_helpers"]
        if not page:
            break
        seen.append(page[0]["id"])
        assert (await client.ask("DELETE", helpers_of(router, seen[-1]))).status_code == 204
    assert len(seen) == 4


async def test_the_links_of_what_is_behind_a_proxy(client: Client, router: str) -> None:
    """Links have the scheme that the client used, as the proxy before us says."""
    answer = await client.ask(
        "GET", f"{helpers_of(router)}?limit=1", headers={"X-Forwarded-Proto": "https"}
    )
    assert answer.json()["conntrack_helpers_links"][0]["href"].startswith("https://ctherd.test/")


async def test_a_list_of_what_is_not_there(client: Client) -> None:
    """200 with nothing, whether the router is missing or its id is none."""
    for router in (str(uuid4()), "not-a-uuid", "%2e%2e"):
        assert await listed(client, router, "") == []


async def test_json_suffix(client: Client, router: str) -> None:
    """Lists and members answer with the suffix as without."""
    plain = (await client.ask("GET", helpers_of(router))).json()
    assert (await client.ask("GET", f"{helpers_of(router)}.json")).json() == plain
    helper = plain["conntrack_helpers"][0]
    shown = await client.ask("GET", f"{helpers_of(router, helper['id'])}.json")
    assert shown.json() == {"conntrack_helper": helper}


# -- laws ------------------------------------------------------------------------------------------

_ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.uuids().map(str),
            "protocol": st.sampled_from(["tcp", "udp"]),
            "port": st.integers(1, 5),
            "helper": st.sampled_from(["ftp", "tftp"]),
        }
    ),
    max_size=12,
    unique_by=lambda item: item["id"],
)
_ORDER = st.lists(
    st.tuples(
        st.sampled_from(["port", "protocol", "helper", "id"]), st.sampled_from(["asc", "desc"])
    ),
    max_size=3,
)


@given(_ITEMS, _ORDER, st.integers(1, 5))
def test_pages_are_the_list_cut_in_pieces(
    items: list[Mapping[str, Any]], order: list[tuple[str, str]], limit: int
) -> None:
    """For every order and page size, the pages together are the whole list, and nothing twice."""
    query = [each for key, way in order for each in (("sort_key", key), ("sort_dir", way))]
    whole = listing.read(query, HELPERS).pick(items)
    found: list[Mapping[str, Any]] = []
    while True:
        marker = [("marker", found[-1]["id"])] if found else []
        page = listing.read([*query, ("limit", str(limit)), *marker], HELPERS).pick(items)
        if not page:
            break
        found.extend(page)
    assert found == whole


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["limit", "marker", "port", "sort_key", "sort_dir", "id", "x"]),
            st.text(),
        )
    )
)
def test_any_query_is_read_or_refused(query: list[tuple[str, str]]) -> None:
    """No query makes anything but a listing, or a refusal."""
    try:
        listing.read(query, HELPERS).pick([])
    except Refused as refused:
        assert refused.fault.status == 400
