"""Who may: roles by rule, what outsiders are told, and what the audit keeps of a denial."""

import json
from pathlib import Path
from typing import Any

import pytest

from ctherd.authz.audit.chain import AUDIT
from ctherd.authz.policy import Policy
from tests.api.server import Client, Server, error_of, helpers_of, running

BODY = {"conntrack_helper": {"protocol": "tcp", "port": 21, "helper": "ftp"}}
CHANGE = {"conntrack_helper": {"port": 70}}

HIDDEN = (404, "HTTPNotFound", "The resource could not be found.")


def disallowed(rule: str) -> tuple[int, str, str]:
    return 403, "PolicyNotAuthorized", f"rule:{rule} is disallowed by policy"


async def denials(server: Server) -> list[dict[str, Any]]:
    """Return what the audit has of denials."""
    entries = [json.loads(each.value) for each in await server.store.page(AUDIT)]
    return [each for each in entries if each.get("decision") == "denied"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2.0/routers"),
        ("GET", "/v2.0/extensions"),
        ("GET", "/v2.0/nothing"),
        ("POST", "/v2.0/routers"),
        ("GET", "/metrics"),
    ],
)
async def test_nobody_gets_anything(client: Client, method: str, path: str) -> None:
    """Without credentials, or with unknown ones: 401, and a challenge."""
    for who in ("", "stranger"):
        answer = await client.ask(method, path, who=who)
        assert error_of(answer)[0:2] == (401, "HTTPUnauthorized")
        assert "www-authenticate" in answer.headers


async def test_an_identity_that_cannot_be_asked_is_503_never_open(
    server: Server, client: Client
) -> None:
    server.identity.away = True
    answer = await client.ask("GET", "/v2.0/routers")
    assert error_of(answer)[0] == 503
    assert answer.headers["retry-after"] == "1"


async def test_the_versions_are_open_to_all(client: Client) -> None:
    answer = await client.ask("GET", "/", who="")
    assert answer.json() == {
        "versions": [
            {
                "id": "v2.0",
                "status": "CURRENT",
                "links": [{"rel": "self", "href": "http://ctherd.test/v2.0/"}],
            }
        ]
    }


async def test_admins_and_members_do_everything(client: Client) -> None:
    """A member in its own project, an administrator in everybody's."""
    router = await client.router()
    for who in ("member", "admin", "homeless-admin"):
        made = await client.ask("POST", helpers_of(router["id"]), BODY, who=who)
        assert made.status_code == 201
        path = helpers_of(router["id"], made.json()["conntrack_helper"]["id"])
        assert (await client.ask("GET", path, who=who)).status_code == 200
        assert (await client.ask("PUT", path, CHANGE, who=who)).status_code == 200
        assert (await client.ask("DELETE", path, who=who)).status_code == 204


async def test_a_reader_reads_and_is_told_why_not_more(client: Client) -> None:
    """Who may see may know: 403 with the rule's name."""
    router = await client.router()
    helper = await client.helper(router["id"])
    path, members = helpers_of(router["id"]), helpers_of(router["id"], helper["id"])
    assert len((await client.ask("GET", path, who="reader")).json()["conntrack_helpers"]) == 1
    assert (await client.ask("GET", members, who="reader")).status_code == 200
    for method, where, body, rule in [
        ("POST", path, BODY, "create_router_conntrack_helper"),
        ("PUT", members, CHANGE, "update_router_conntrack_helper"),
        ("DELETE", members, None, "delete_router_conntrack_helper"),
    ]:
        answer = await client.ask(method, where, body, who="reader")
        assert error_of(answer) == disallowed(rule)


@pytest.mark.parametrize("who", ["outsider", "roleless"])
async def test_an_outsider_is_told_nothing(client: Client, who: str) -> None:
    """List 200 and empty; show, update, delete 404 as if there was nothing; create 403."""
    router = await client.router()
    helper = await client.helper(router["id"])
    path, member = helpers_of(router["id"]), helpers_of(router["id"], helper["id"])
    listed = await client.ask("GET", path, who=who)
    assert (listed.status_code, listed.json()) == (200, {"conntrack_helpers": []})
    assert error_of(await client.ask("GET", member, who=who)) == HIDDEN
    assert error_of(await client.ask("PUT", member, CHANGE, who=who)) == HIDDEN
    assert error_of(await client.ask("DELETE", member, who=who)) == HIDDEN
    created = await client.ask("POST", path, BODY, who=who)
    assert error_of(created) == disallowed("create_router_conntrack_helper")
    missing = await client.ask("GET", helpers_of(router["id"], "missing"), who=who)
    assert error_of(missing)[0:2] == (404, "ConntrackHelperNotFound")
    assert (await client.ask("GET", member)).json()["conntrack_helper"] == helper


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_foreign_helper_under_ones_own_router(client: Client, method: str) -> None:
    """The cross-project hole of the reference until 2026: 404, whoever asks; no change."""
    theirs = await client.router()
    helper = await client.helper(theirs["id"])
    own = await client.router(who="outsider")
    for who in ("outsider", "admin"):
        answer = await client.ask(
            method,
            helpers_of(own["id"], helper["id"]),
            CHANGE if method == "PUT" else None,
            who=who,
        )
        assert error_of(answer)[0:2] == (404, "ConntrackHelperNotFound")
    shown = await client.ask("GET", helpers_of(theirs["id"], helper["id"]))
    assert shown.json()["conntrack_helper"] == helper


async def test_a_foreign_router(client: Client) -> None:
    """Somebody else's router is not found, and not listed; one's own is refused by rule."""
    router = await client.router()
    path = f"/v2.0/routers/{router['id']}"
    words = f"Router {router['id']} could not be found"
    for method, body in [("GET", None), ("PUT", {"router": {"name": "x"}}), ("DELETE", None)]:
        answer = await client.ask(method, path, body, who="outsider")
        assert error_of(answer) == (404, "RouterNotFound", words)
    assert (await client.ask("GET", "/v2.0/routers", who="outsider")).json() == {"routers": []}
    renamed = await client.ask("PUT", path, {"router": {"name": "x"}}, who="reader")
    assert error_of(renamed) == disallowed("update_router")
    assert error_of(await client.ask("DELETE", path, who="reader")) == disallowed("delete_router")


async def test_a_router_for_somebody_else(client: Client) -> None:
    """Only an administrator may make what belongs to another project."""
    body = {"router": {"project_id": "others"}}
    answer = await client.ask("POST", "/v2.0/routers", body)
    assert error_of(answer)[0:2] == (400, "HTTPBadRequest")
    made = await client.ask("POST", "/v2.0/routers", body, who="admin")
    assert made.json()["router"]["tenant_id"] == "others"
    homeless = await client.ask("POST", "/v2.0/routers", {"router": {}}, who="homeless-admin")
    words = "Running without keystone AuthN requires that project_id is specified"
    assert error_of(homeless) == (400, "HTTPBadRequest", words)
    differing = {"router": {"project_id": "mine", "tenant_id": "others"}}
    mismatch = await client.ask("POST", "/v2.0/routers", differing, who="admin")
    assert error_of(mismatch)[2] == "'project_id' and 'tenant_id' do not match"


async def test_every_denied_change_is_audited(server: Server, client: Client) -> None:
    """Who, what, by which rule, and of which request; reading leaves no trace."""
    router = await client.router()
    helper = await client.helper(router["id"])
    refused = await client.ask("POST", helpers_of(router["id"]), BODY, who="reader")
    hidden = await client.ask("DELETE", helpers_of(router["id"], helper["id"]), who="outsider")
    await client.ask("GET", helpers_of(router["id"], helper["id"]), who="outsider")
    found = await denials(server)
    assert [each["request_id"] for each in found] == [
        refused.headers["x-openstack-request-id"],
        hidden.headers["x-openstack-request-id"],
    ]
    assert [each["who"]["user"] for each in found] == ["rita", "otto"]
    assert [each["rule"] for each in found] == [
        "create_router_conntrack_helper",
        "delete_router_conntrack_helper",
    ]


async def test_the_references_policy_file_is_heeded(tmp_path: Path) -> None:
    """An override by the reference's rule name changes who may."""
    path = tmp_path / "policy.yaml"
    path.write_text('"delete_router_conntrack_helper": "rule:admin_only"\n')
    async with running() as server:
        server.use_policy(Policy(path))
        client = Client(server.app())
        router = await client.router()
        helper = await client.helper(router["id"])
        member = helpers_of(router["id"], helper["id"])
        answer = await client.ask("DELETE", member)
        assert error_of(answer) == disallowed("delete_router_conntrack_helper")
        assert (await client.ask("DELETE", member, who="admin")).status_code == 204


ADOPTING = {"conntrack_helper": BODY["conntrack_helper"] | {"adopt_flows": True}}


async def test_reaching_open_connections_is_for_administrators(
    server: Server, client: Client
) -> None:
    """A member is told by which rule, and the audit has it; also where there is no router."""
    router = await client.router()
    path = helpers_of(router["id"])
    for where in (path, helpers_of("missing")):
        refused = await client.ask("POST", where, ADOPTING)
        assert error_of(refused) == disallowed("ctherd:adopt_flows")
    made = await client.ask("POST", path, BODY)
    member = helpers_of(router["id"], made.json()["conntrack_helper"]["id"])
    adopt = {"conntrack_helper": {"adopt_flows": True}}
    assert error_of(await client.ask("PUT", member, adopt)) == disallowed("ctherd:adopt_flows")
    assert [each["rule"] for each in await denials(server)] == ["ctherd:adopt_flows"] * 3
    assert (await client.ask("PUT", member, adopt, who="admin")).status_code == 200


async def test_what_adopts_is_moved_by_those_alone_who_may(client: Client) -> None:
    """Other connections would come into question; what concerns none, and to undo it, is free."""
    router = await client.router()
    made = await client.ask("POST", helpers_of(router["id"]), ADOPTING, who="admin")
    member = helpers_of(router["id"], made.json()["conntrack_helper"]["id"])

    async def put(**change: Any) -> int:
        return (await client.ask("PUT", member, {"conntrack_helper": change})).status_code

    assert await put(port=2121) == 403
    assert await put(destinations=["192.0.2.0/24"]) == 403
    assert await put(description="x", on_revoke="kill", adopt_flows=True) == 200
    assert await put(port=2121, adopt_flows=False) == 200
    assert await put(adopt_flows=True) == 403


async def test_the_rule_can_be_opened(server: Server, tmp_path: Path) -> None:
    """By name in a `policy.yaml`, such as to the members of the router's project."""
    file = tmp_path / "policy.yaml"
    file.write_text('"ctherd:adopt_flows": "role:member and rule:ext_parent_owner"\n')
    server.use_policy(Policy(file))
    client = Client(server.app())
    router = await client.router()
    made = await client.ask("POST", helpers_of(router["id"]), ADOPTING)
    assert made.json()["conntrack_helper"]["adopt_flows"] is True
