"""What ctherd adds: shown only where a request asks for it, and as documented."""

import asyncio
from typing import Any

import pytest

from ctherd.authz.profile import Profile
from ctherd.model.assignment import AssignmentId
from ctherd.model.catalog import Family
from ctherd.model.router import HostName
from ctherd.model.status import State
from ctherd.service.helper_status import FamilyStatus, HelperStatus
from tests.api.server import MINE, Client, Server, error_of, helpers_of

FULL = "extension=ctherd-conntrack-helper"
PLAIN = {"id", "protocol", "port", "helper"}
OURS = {
    "destinations",
    "description",
    "on_revoke",
    "adopt_flows",
    "status",
    "status_reason",
    "status_details",
}


async def test_the_extensions(client: Client) -> None:
    """The reference's three aliases, and one of our own."""
    found = (await client.ask("GET", "/v2.0/extensions")).json()["extensions"]
    aliases = [each["alias"] for each in found]
    assert aliases == [
        "router",
        "l3-conntrack-helper",
        "expose-l3-conntrack-helper",
        "ctherd-conntrack-helper",
    ]
    for each in found:
        shown = await client.ask("GET", f"/v2.0/extensions/{each['alias']}.json")
        assert shown.json() == {"extension": each}
        assert set(each) == {"alias", "name", "description", "updated", "links"}
    missing = await client.ask("GET", "/v2.0/extensions/trunk")
    words = "Extension with alias trunk does not exist"
    assert error_of(missing) == (404, "HTTPNotFound", words)
    assert error_of(await client.ask("POST", "/v2.0/extensions", {}))[0] == 404


async def test_an_unmodified_client_sees_what_it_knows(client: Client) -> None:
    """id, protocol, port and helper, and nothing else, in every answer."""
    router = await client.router()
    helper = await client.helper(router["id"])
    member = helpers_of(router["id"], helper["id"])
    changed = await client.ask("PUT", member, {"conntrack_helper": {"port": 70}})
    listed = (await client.ask("GET", helpers_of(router["id"]))).json()["conntrack_helpers"]
    shown = (await client.ask("GET", member)).json()["conntrack_helper"]
    for each in (helper, changed.json()["conntrack_helper"], shown, *listed):
        assert set(each) == PLAIN


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("GET", FULL, None),
        ("PUT", FULL, {"port": 70}),
        ("PUT", "wait=0", {"port": 70}),
        ("PUT", "", {"description": "x"}),
        ("PUT", "", {"destinations": ["192.0.2.0/24"]}),
        ("PUT", "", {"on_revoke": "detach"}),
        ("PUT", "", {"adopt_flows": False}),
    ],
)
async def test_who_asks_for_ours_is_shown_ours(
    client: Client, method: str, query: str, body: dict[str, Any] | None
) -> None:
    """By naming the extension, by waiting, or by using what it adds."""
    router = await client.router()
    helper = await client.helper(router["id"])
    given = None if body is None else {"conntrack_helper": body}
    answer = await client.ask(method, f"{helpers_of(router['id'], helper['id'])}?{query}", given)
    assert set(answer.json()["conntrack_helper"]) == PLAIN | OURS


async def test_fields_and_filters_of_ours(client: Client) -> None:
    """A field, a filter or an order of ours needs no other sign."""
    router = await client.router()
    await client.helper(router["id"], description="one")
    await client.helper(router["id"], port=70, description="two")
    path = helpers_of(router["id"])

    async def listed(query: str) -> Any:
        return (await client.ask("GET", f"{path}?{query}")).json()["conntrack_helpers"]

    assert await listed("fields=status&fields=port&port=69") == [{"port": 69, "status": "pending"}]
    assert [each["port"] for each in await listed("description=two")] == [70]
    assert [each["port"] for each in await listed("status=active")] == []
    ordered = await listed("sort_key=description&sort_dir=desc")
    assert [each["description"] for each in ordered] == ["two", "one"]


async def test_destinations_are_kept_collapsed(client: Client) -> None:
    """Neighbours are joined; disjoint destinations let two helpers share a port."""
    router = await client.router()
    made = await client.helper(
        router["id"],
        protocol="udp",
        port=5060,
        helper="sip",
        destinations=["192.0.2.128/25", "192.0.2.0/25", "2001:db8::/32"],
        description="the provider",
    )
    assert made["destinations"] == ["192.0.2.0/24", "2001:db8::/32"]
    assert made["description"] == "the provider"
    other = {"port": 5060, "helper": "tftp", "destinations": ["198.51.100.0/24"]}
    await client.helper(router["id"], **other)
    overlapping = {
        "conntrack_helper": {
            "protocol": "udp",
            "port": 5060,
            "helper": "RAS",
            "destinations": ["192.0.2.7"],
        }
    }
    answer = await client.ask("POST", helpers_of(router["id"]), overlapping)
    assert error_of(answer)[0:2] == (400, "BadRequest")
    assert "sip" in error_of(answer)[2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"destinations": "192.0.2.0/24"},
        {"destinations": ["192.0.2.1/24"]},
        {"destinations": [None]},
        {"destinations": ["fe80::1%eth0"]},
        {"destinations": ["192.0.2.1"] * 129},
        {"description": 5},
        {"on_revoke": "forget"},
        {"on_revoke": "KILL"},
        {"on_revoke": None},
        {"on_revoke": ["kill"]},
        {"adopt_flows": "perhaps"},
        {"adopt_flows": None},
        {"description": "x" * 256},
        {"status": "active"},
        {"status_reason": ""},
        {"helper": "irc", "protocol": "tcp", "port": 6667, "destinations": ["2001:db8::/32"]},
    ],
    ids=str,
)
async def test_what_ours_cannot_be(client: Client, wrong: dict[str, Any]) -> None:
    """400; read-only ones cannot be set, and IPv6 destinations need a helper that knows IPv6."""
    router = await client.router()
    body = {"protocol": "udp", "port": 69, "helper": "tftp"} | wrong
    answer = await client.ask("POST", helpers_of(router["id"]), {"conntrack_helper": body})
    assert error_of(answer)[0] == 400


async def test_the_status_is_what_the_agents_said(server: Server, client: Client) -> None:
    """Summed up, with a reason; the hosts are named only to those who may see placements."""
    router = await client.router()
    helper = await client.helper(router["id"])
    since = "2026-11-23T10:00:00Z"
    server.board.statuses[AssignmentId(helper["id"])] = HelperStatus(
        State.PARTIAL,
        "ipv6: error",
        (
            FamilyStatus(HostName("net1"), Family.IPV4, State.ACTIVE, "", since, since, "probe"),
            FamilyStatus(HostName("net1"), Family.IPV6, State.ERROR, "No such file", ""),
        ),
    )
    path = f"{helpers_of(router['id'], helper['id'])}?{FULL}"
    shown = (await client.ask("GET", path)).json()["conntrack_helper"]
    assert (shown["status"], shown["status_reason"]) == ("partial", "ipv6: error")
    assert shown["status_details"] == [
        {"family": "ipv4", "status": "active", "reason": "", "since": since}
        | {"verified_at": since, "verified_by": "probe"},
        {"family": "ipv6", "status": "error", "reason": "No such file", "since": None}
        | {"verified_at": None, "verified_by": None},
    ]
    told = (await client.ask("GET", path, who="admin")).json()["conntrack_helper"]
    assert {each["host"] for each in told["status_details"]} == {"net1"}


async def test_waiting_for_the_agents(server: Server, client: Client) -> None:
    """The wait is for the very version that was made, on create, update and delete."""
    router = await client.router()
    body = {"conntrack_helper": {"protocol": "udp", "port": 69, "helper": "tftp"}}
    made = await client.ask("POST", f"{helpers_of(router['id'])}?wait=7", body)
    assert (made.status_code, made.json()["conntrack_helper"]["status"]) == (201, "pending")
    member = helpers_of(router["id"], made.json()["conntrack_helper"]["id"])
    await client.ask("PUT", f"{member}?wait=8", {"conntrack_helper": {"port": 70}})
    assert (await client.ask("DELETE", f"{member}?wait=9")).status_code == 204
    assert (await client.ask("DELETE", f"/v2.0/routers/{router['id']}?wait=1")).status_code == 204
    assert server.board.awaited == [
        (router["id"], 2, 7.0),
        (router["id"], 3, 8.0),
        (router["id"], 4, 9.0),
        (router["id"], 5, 1.0),
    ]


async def test_a_delete_that_was_waited_for_in_vain(server: Server, client: Client) -> None:
    """202: it is deleted, but no agent has said so."""
    router = await client.router()
    helper = await client.helper(router["id"])
    server.board.settles = False
    member = helpers_of(router["id"], helper["id"])
    assert (await client.ask("DELETE", f"{member}?wait=1")).status_code == 202
    assert error_of(await client.ask("GET", member))[0] == 404


@pytest.mark.parametrize("wait", ["-1", "x", "61", "", "1.5", "9" * 30])
async def test_a_wait_that_cannot_be(client: Client, wait: str) -> None:
    """400, and nothing is created."""
    router = await client.router()
    body = {"conntrack_helper": {"protocol": "udp", "port": 69, "helper": "tftp"}}
    answer = await client.ask("POST", f"{helpers_of(router['id'])}?wait={wait}", body)
    assert error_of(answer)[0] == 400
    listed = await client.ask("GET", helpers_of(router["id"]))
    assert listed.json() == {"conntrack_helpers": []}


# -- bulk and quota --------------------------------------------------------------------------------


async def test_a_bulk_is_all_or_nothing(client: Client) -> None:
    """One wrong item, or two that collide with each other, and nothing is created."""
    router = await client.router()
    path = helpers_of(router["id"])
    tftp = {"protocol": "udp", "port": 69, "helper": "tftp"}
    ftp = {"protocol": "tcp", "port": 21, "helper": "ftp"}
    for bad in ({**ftp, "helper": "X"}, tftp, {**tftp, "helper": "RAS"}, {**ftp, "port": 0}):
        answer = await client.ask("POST", path, {"conntrack_helpers": [tftp, bad]})
        assert error_of(answer)[0] == 400
        assert (await client.ask("GET", path)).json() == {"conntrack_helpers": []}
    good = {"conntrack_helpers": [tftp, {"conntrack_helper": ftp}]}
    made = await client.ask("POST", path, good)
    assert made.status_code == 201
    shown = made.json()["conntrack_helpers"]
    assert [each["helper"] for each in shown] == ["tftp", "ftp"]
    assert all(set(each) == PLAIN for each in shown)


async def test_the_quota_of_a_router(server: Server, client: Client) -> None:
    """409 OverQuota, and room again after a deletion."""
    server.profile = Profile(quota_per_router=1)
    router = await client.router()
    helper = await client.helper(router["id"])
    body = {"conntrack_helper": {"protocol": "tcp", "port": 21, "helper": "ftp"}}
    answer = await client.ask("POST", helpers_of(router["id"]), body)
    words = "Quota exceeded for resources: ['conntrack_helper']."
    assert error_of(answer) == (409, "OverQuota", words)
    await client.helper((await client.router())["id"])
    await client.ask("DELETE", helpers_of(router["id"], helper["id"]))
    await client.helper(router["id"])


async def test_the_quota_of_a_project(server: Server, client: Client) -> None:
    """It counts over all routers, helpers from before there was one too; deletions give back."""
    one, two = await client.router(), await client.router()
    await client.helper(one["id"])
    server.profile = Profile(quota_of_projects={MINE: 3})
    second = await client.helper(one["id"], port=70)
    await client.helper(two["id"], port=71)
    body = {"conntrack_helper": {"protocol": "tcp", "port": 21, "helper": "ftp"}}
    for path in (helpers_of(one["id"]), helpers_of(two["id"])):
        assert error_of(await client.ask("POST", path, body))[0:2] == (409, "OverQuota")
    theirs = await client.ask("POST", "/v2.0/routers", {"router": {}}, who="outsider")
    foreign = helpers_of(theirs.json()["router"]["id"])
    assert (await client.ask("POST", foreign, body, who="outsider")).status_code == 201
    await client.ask("DELETE", helpers_of(one["id"], second["id"]))
    await client.helper(two["id"], port=72)
    await client.ask("DELETE", f"/v2.0/routers/{two['id']}")
    new = [{"protocol": "udp", "port": port, "helper": "tftp"} for port in (80, 81)]
    bulk = {"conntrack_helpers": new}
    assert (await client.ask("POST", helpers_of(one["id"]), bulk)).status_code == 201
    slots = [each.key for each in server.mirror.under("slot/")]
    assert len(slots) == 2, slots


async def test_racing_creates_never_exceed_a_quota(server: Server, client: Client) -> None:
    """Twelve at once on six routers of one project with a quota of five: exactly five are made."""
    server.profile = Profile(quota_per_project=5)
    routers = [(await client.router())["id"] for _ in range(6)]
    answers = await asyncio.gather(
        *(
            client.ask(
                "POST",
                helpers_of(router),
                {"conntrack_helper": {"protocol": "udp", "port": port, "helper": "tftp"}},
            )
            for router in routers
            for port in (69, 70)
        )
    )
    assert sorted(each.status_code for each in answers) == [201] * 5 + [409] * 7


async def test_racing_creates_count_helpers_from_before_the_quota(
    server: Server, client: Client
) -> None:
    """One helper without a slot, a quota of three, twelve at once: exactly two are made."""
    routers = [(await client.router())["id"] for _ in range(12)]
    await client.helper(routers[0])
    server.profile = Profile(quota_per_project=3)
    body = {"conntrack_helper": {"protocol": "tcp", "port": 21, "helper": "ftp"}}
    answers = await asyncio.gather(
        *(client.ask("POST", helpers_of(router), body) for router in routers)
    )
    assert sorted(each.status_code for each in answers) == [201] * 2 + [409] * 10


async def test_a_quota_that_was_lowered(server: Server, client: Client) -> None:
    """Whatever numbers the slots have: who has as many as he may gets no more."""
    server.profile = Profile(quota_per_project=1000)
    router = (await client.router())["id"]
    for port in range(1, 4):
        await client.helper(router, port=port)
    server.profile = Profile(quota_per_project=3)
    body = {"conntrack_helper": {"protocol": "tcp", "port": 21, "helper": "ftp"}}
    answer = await client.ask("POST", helpers_of(router), body)
    assert error_of(answer)[0:2] == (409, "OverQuota")


async def test_what_the_profile_does_not_allow(server: Server, client: Client) -> None:
    """A helper that needs a role, or destinations, is refused to those who lack them."""
    server.profile = Profile(
        helpers=frozenset({"tftp", "sip"}), require_destinations=frozenset({"sip"})
    )
    router = await client.router()
    body = {"conntrack_helper": {"protocol": "tcp", "port": 21, "helper": "ftp"}}
    path = helpers_of(router["id"])
    answer = await client.ask("POST", path, body)
    words = "Conntrack Helper ftp is not allowed."
    assert error_of(answer) == (400, "ConntrackHelperNotAllowed", words)
    assert (await client.ask("POST", path, body, who="admin")).status_code == 201
    sip = {"protocol": "udp", "port": 5060, "helper": "sip"}
    everywhere = await client.ask("POST", path, {"conntrack_helper": sip})
    status, type, message = error_of(everywhere)
    assert (status, type) == (400, "ConntrackHelperNotAllowed")
    assert "destinations" in message
    await client.helper(router["id"], **sip, destinations=["192.0.2.1"])


async def test_the_kernels_truth_of_helpers(client: Client) -> None:
    """amanda speaks udp and not tcp; h323 is both; the kernel's own names are known, too."""
    router = await client.router()
    body = {"conntrack_helper": {"protocol": "tcp", "port": 10080, "helper": "amanda"}}
    answer = await client.ask("POST", helpers_of(router["id"]), body)
    assert error_of(answer)[0:2] == (400, "InvalidProtocolForHelper")
    for protocol, port, helper in [
        ("udp", 10080, "amanda"),
        ("tcp", 1720, "h323"),
        ("udp", 1719, "h323"),
        ("udp", 162, "snmp_trap"),
    ]:
        await client.helper(router["id"], protocol=protocol, port=port, helper=helper)


async def test_what_shall_become_of_flows_is_kept(server: Server, client: Client) -> None:
    """As it was declared or changed, in the answer and in the record, until it is undone."""
    router = await client.router()
    made = await client.helper(router["id"], on_revoke="kill")
    assert (made["on_revoke"], made["adopt_flows"]) == ("kill", False)
    member = helpers_of(router["id"], made["id"])
    for change in ({"on_revoke": "leave"}, {"port": 70}, {"on_revoke": "detach"}):
        answer = await client.ask("PUT", f"{member}?{FULL}", {"conntrack_helper": change})
        shown = answer.json()["conntrack_helper"]
        kept = server.book.find(router["id"])
        assert kept is not None
        (declared,) = kept.router.helpers.values()
        assert declared.assignment.on_revoke == shown["on_revoke"]
        assert shown | change == shown
    assert (await client.ask("GET", member)).json()["conntrack_helper"].keys() == PLAIN
