"""Routers: what clients send and see, revisions, placements, and what a deletion takes along."""

from uuid import uuid4

import pytest

from tests.api.server import Client, Server, error_of, helpers_of

FULL = "extension=ctherd-conntrack-helper"


async def test_what_a_router_shows(client: Client) -> None:
    """Exactly what clients know of a router; nothing of ours unless it is asked for."""
    router = await client.router(name="edge", description="of the lab")
    assert set(router) == {
        "id",
        "name",
        "description",
        "admin_state_up",
        "status",
        "tenant_id",
        "project_id",
        "external_gateway_info",
        "routes",
        "conntrack_helpers",
        "revision_number",
        "created_at",
        "updated_at",
    }
    assert router["project_id"] == router["tenant_id"] == "mine"
    assert (router["name"], router["status"], router["routes"]) == ("edge", "ACTIVE", [])
    shown = await client.ask("GET", f"/v2.0/routers/{router['id']}")
    assert shown.json() == {"router": router}


async def test_a_name_is_no_id(client: Client) -> None:
    """A name in place of the id is 404; a filter finds it. That is how clients look names up."""
    router = await client.router(name="edge")
    await client.router(name="other")
    answer = await client.ask("GET", "/v2.0/routers/edge")
    assert error_of(answer) == (404, "RouterNotFound", "Router edge could not be found")
    found = (await client.ask("GET", "/v2.0/routers?name=edge")).json()["routers"]
    assert found == [router]


async def test_filters_of_routers(client: Client) -> None:
    down = await client.router(name="a", admin_state_up=False)
    up = await client.router(name="b")
    for query, found in [
        ("admin_state_up=False", [down]),
        ("admin_state_up=true", [up]),
        (f"id={up['id']}&id={down['id']}&sort_key=name&sort_dir=asc", [down, up]),
        ("project_id=others", []),
        ("tenant_id=mine&name=b", [up]),
        ("revision_number=7", []),
    ]:
        answer = await client.ask("GET", f"/v2.0/routers?{query}")
        assert answer.json() == {"routers": found}
    wrong = await client.ask("GET", "/v2.0/routers?distance=7")
    assert error_of(wrong)[2] == "['distance'] is invalid attribute for filtering"


async def test_pages_of_routers(client: Client) -> None:
    for _ in range(3):
        await client.router()
    said = (await client.ask("GET", "/v2.0/routers?limit=2")).json()
    assert len(said["routers"]) == 2
    assert [each["rel"] for each in said["routers_links"]] == ["next", "previous"]


@pytest.mark.parametrize("nothing", [None, {}])
async def test_what_clients_send_along(client: Client, nothing: object) -> None:
    """Clients send a gateway and routes that are none; they mean none."""
    router = await client.router(external_gateway_info=nothing, routes=nothing)
    assert (router["external_gateway_info"], router["routes"]) == (None, [])
    path = f"/v2.0/routers/{router['id']}"
    changed = await client.ask("PUT", path, {"router": {"external_gateway_info": nothing}})
    assert changed.status_code == 200


async def test_a_gateway_is_kept_and_shown(client: Client) -> None:
    """What a client describes comes back as it was, and can be cleared."""
    gateway = {"network_id": str(uuid4()), "enable_snat": True, "external_fixed_ips": []}
    routes = [{"destination": "192.0.2.0/24", "nexthop": "198.51.100.1"}]
    router = await client.router(external_gateway_info=gateway, routes=routes)
    assert (router["external_gateway_info"], router["routes"]) == (gateway, routes)
    path = f"/v2.0/routers/{router['id']}"
    cleared = await client.ask("PUT", path, {"router": {"external_gateway_info": {}, "routes": []}})
    assert cleared.json()["router"]["external_gateway_info"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x" * 256},
        {"name": "a\nb"},
        {"name": " a"},
        {"name": None},
        {"name": "\ud800"},
        {"admin_state_up": "perhaps"},
        {"admin_state_up": None},
        {"external_gateway_info": {"network_id": "x"}},
        {"external_gateway_info": {"enable_snat": True}},
        {"external_gateway_info": {"network_id": str(uuid4()), "mtu": 1.5}},
        {"external_gateway_info": 5},
        {"routes": [{"destination": "x", "nexthop": "y"}]},
        {"routes": "x"},
        {"conntrack_helpers": []},
        {"status": "ACTIVE"},
        {"revision_number": 7},
        {"created_at": "now"},
        {"distance": 7},
    ],
    ids=str,
)
async def test_what_a_router_cannot_be(client: Client, wrong: dict[str, object]) -> None:
    """400 on create as on update."""
    created = await client.ask("POST", "/v2.0/routers", {"router": wrong})
    assert error_of(created)[0] == 400
    router = await client.router()
    changed = await client.ask("PUT", f"/v2.0/routers/{router['id']}", {"router": wrong})
    assert error_of(changed)[0] == 400


async def test_each_effective_change_of_a_helper_raises_the_revision(client: Client) -> None:
    """Create, change and delete do; what changes nothing does not."""
    router = await client.router()
    path = f"/v2.0/routers/{router['id']}"

    async def revision() -> int:
        shown = (await client.ask("GET", path)).json()["router"]
        assert shown["updated_at"] >= router["updated_at"]
        return int(shown["revision_number"])

    first = await revision()
    helper = await client.helper(router["id"])
    assert await revision() == first + 1
    member = helpers_of(router["id"], helper["id"])
    for nothing in ({}, {"port": 69}, {"port": "69"}, {"helper": "tftp", "protocol": "udp"}):
        same = await client.ask("PUT", member, {"conntrack_helper": nothing})
        assert (same.status_code, same.json()["conntrack_helper"]) == (200, helper)
    assert await revision() == first + 1
    await client.ask("PUT", member, {"conntrack_helper": {"port": 70}})
    assert await revision() == first + 2
    await client.ask("DELETE", member)
    assert await revision() == first + 3
    await client.ask("PUT", path, {"router": {"name": router["name"]}})
    assert await revision() == first + 3


async def test_a_router_shows_its_helpers(client: Client) -> None:
    """As protocol, port and helper; and nothing can be written there."""
    router = await client.router()
    await client.helper(router["id"])
    shown = (await client.ask("GET", f"/v2.0/routers/{router['id']}")).json()["router"]
    assert shown["conntrack_helpers"] == [{"protocol": "udp", "port": 69, "helper": "tftp"}]


async def test_a_deleted_router_takes_its_helpers_along(server: Server, client: Client) -> None:
    """204, then neither it nor its helpers exist; nothing of them is left in the store."""
    router = await client.router()
    helper = await client.helper(router["id"])
    path = f"/v2.0/routers/{router['id']}"
    assert (await client.ask("DELETE", path)).status_code == 204
    assert error_of(await client.ask("GET", path))[0:2] == (404, "RouterNotFound")
    assert error_of(await client.ask("DELETE", path))[0:2] == (404, "RouterNotFound")
    shown = await client.ask("GET", helpers_of(router["id"], helper["id"]))
    assert error_of(shown)[0:2] == (404, "ConntrackHelperNotFound")
    assert not [each for each in server.mirror.under("") if router["id"] in each.key]


async def test_ports_of_a_router(client: Client) -> None:
    """`openstack router show` asks for them: there are none."""
    answer = await client.ask("GET", f"/v2.0/ports?device_id={uuid4()}")
    assert (answer.status_code, answer.json()) == (200, {"ports": []})


async def test_routers_in_bulk(client: Client) -> None:
    """All or none: a place that is taken refuses the whole lot."""
    body = {"routers": [{"name": "a"}, {"name": "b"}]}
    made = await client.ask("POST", "/v2.0/routers", body)
    assert [each["name"] for each in made.json()["routers"]] == ["a", "b"]
    place = [{"host": "net1", "netns": "r"}]
    assert (await client.router(who="admin", placements=place))["id"]
    two = {"routers": [{"name": "c"}, {"name": "d", "placements": place}]}
    refused = await client.ask("POST", "/v2.0/routers", two, who="admin")
    assert error_of(refused)[0:2] == (409, "PlacementInUse")
    listed = await client.ask("GET", "/v2.0/routers?name=c", who="admin")
    assert listed.json() == {"routers": []}


# -- placements ------------------------------------------------------------------------------------


async def test_placements_are_for_administrators(client: Client) -> None:
    """Who may not place is refused by rule; who may not see placements is shown none."""
    router = await client.router()
    path = f"/v2.0/routers/{router['id']}"
    body = {"router": {"placements": [{"host": "net1"}]}}
    refused = await client.ask("PUT", path, body)
    words = "rule:ctherd:update_placements is disallowed by policy"
    assert error_of(refused) == (403, "PolicyNotAuthorized", words)
    created = await client.ask("POST", "/v2.0/routers", body)
    assert error_of(created)[0] == 403
    placed = await client.ask("PUT", path, body, who="admin")
    netns = f"qrouter-{router['id']}"
    assert placed.json()["router"]["placements"] == [{"host": "net1", "netns": netns}]
    for who, query, shown in [("admin", FULL, True), ("admin", "", False), ("member", FULL, False)]:
        answer = await client.ask("GET", f"{path}?{query}", who=who)
        assert ("placements" in answer.json()["router"]) == shown


async def test_a_place_is_one_routers(client: Client) -> None:
    """409 names the place; a router keeps its own, and may have several."""
    places = [{"host": "net1", "netns": "a"}, {"host": "net2", "netns": "a"}]
    router = await client.router(who="admin", placements=places)
    body = {"router": {"placements": [{"host": "net2", "netns": "a"}]}}
    other = await client.router(who="admin")
    answer = await client.ask("PUT", f"/v2.0/routers/{other['id']}", body, who="admin")
    status, type, message = error_of(answer)
    assert (status, type) == (409, "PlacementInUse")
    assert "net2" in message
    same = await client.ask("PUT", f"/v2.0/routers/{router['id']}", body, who="admin")
    assert same.json()["router"]["placements"] == body["router"]["placements"]


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"netns": "x"},
        {"host": ""},
        {"host": "a/b"},
        {"host": "a b"},
        {"host": "net1", "netns": ".."},
        {"host": "net1", "netns": "a/b"},
        {"host": "net1", "netns": ""},
        {"host": "net1", "vrf": "x"},
        "net1",
    ],
    ids=str,
)
async def test_a_place_that_cannot_be(client: Client, place: object) -> None:
    answer = await client.ask(
        "POST", "/v2.0/routers", {"router": {"placements": [place]}}, who="admin"
    )
    assert error_of(answer)[0:2] == (400, "HTTPBadRequest")


async def test_who_proved_nothing_does_not_get_at_the_host_itself(client: Client) -> None:
    """Without an identity nobody can place a router in the host's own namespace."""
    body = {"router": {"placements": [{"host": "net1", "netns": "host"}]}}
    answer = await client.ask("POST", "/v2.0/routers", body, who="nobody")
    assert error_of(answer)[0] == 403
    assert (await client.ask("POST", "/v2.0/routers", body, who="admin")).status_code == 201
