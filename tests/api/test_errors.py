"""The table of errors in the contract, row by row: status, type and words."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from ctherd.service.helper_edits import CREATE
from ctherd.store.port import Put
from ctherd.testing.memory_store import MemoryStore
from tests.api.server import Client, Server, error_of, helpers_of, running

TFTP = {"protocol": "udp", "port": 69, "helper": "tftp"}

NOT_AN_INTEGER = "Invalid input for operation: '{}' is not an integer."
NO_PROTOCOL = (
    "Invalid input for operation: IP protocol '{}' is not supported. Only protocol names and their "
    "integer representation (0 to 255) are supported."
)
NOT_VALID = "Invalid input for protocol. Reason: {} is not in valid_values."

ATTRIBUTE_ROWS: list[tuple[dict[str, Any], str, str]] = [
    ({"helper": "X"}, "ConntrackHelperNotAllowed", "Conntrack Helper X is not allowed."),
    ({"helper": "TFTP"}, "ConntrackHelperNotAllowed", "Conntrack Helper TFTP is not allowed."),
    (
        {"protocol": "tcp"},
        "InvalidProtocolForHelper",
        "Conntrack Helper tftp does not support: tcp. Supported protocols are: udp",
    ),
    (
        {"protocol": "sctp"},
        "InvalidProtocolForHelper",
        "Conntrack Helper tftp does not support: sctp. Supported protocols are: udp",
    ),
    (
        {"port": 0},
        "HTTPBadRequest",
        "Invalid input for port. Reason: '0' is too small - must be at least '1'.",
    ),
    (
        {"port": -1},
        "HTTPBadRequest",
        "Invalid input for port. Reason: '-1' is too small - must be at least '1'.",
    ),
    (
        {"port": 65536},
        "HTTPBadRequest",
        "Invalid input for port. Reason: '65536' is too large - must be no larger than '65535'.",
    ),
    ({"port": "abc"}, "InvalidInput", NOT_AN_INTEGER.format("abc")),
    ({"port": None}, "InvalidInput", NOT_AN_INTEGER.format("None")),
    ({"port": ""}, "InvalidInput", NOT_AN_INTEGER.format("")),
    ({"port": [69]}, "InvalidInput", NOT_AN_INTEGER.format("[69]")),
    ({"port": 69.5}, "InvalidInput", NOT_AN_INTEGER.format("69.5")),
    ({"port": True}, "InvalidInput", NOT_AN_INTEGER.format("True")),
    ({"protocol": "foo"}, "InvalidInput", NO_PROTOCOL.format("foo")),
    ({"protocol": "icmpv6"}, "InvalidInput", NO_PROTOCOL.format("icmpv6")),
    ({"protocol": ""}, "InvalidInput", NO_PROTOCOL.format("")),
    ({"protocol": 256}, "InvalidInput", NO_PROTOCOL.format("256")),
    ({"protocol": "UDP"}, "HTTPBadRequest", NOT_VALID.format("UDP")),
    ({"protocol": "17"}, "HTTPBadRequest", NOT_VALID.format("17")),
    ({"protocol": None}, "HTTPBadRequest", NOT_VALID.format("None")),
    (
        {"helper": "h" * 65},
        "HTTPBadRequest",
        f"Invalid input for helper. Reason: '{'h' * 65}' exceeds maximum length of 64.",
    ),
    (
        {"helper": None},
        "HTTPBadRequest",
        "Invalid input for helper. Reason: 'None' is not a valid string.",
    ),
    ({"foo": 1}, "HTTPBadRequest", "Unrecognized attribute(s) 'foo'"),
    ({"router_id": "r"}, "HTTPBadRequest", "Unrecognized attribute(s) 'router_id'"),
]


@pytest.mark.parametrize(("wrong", "type", "message"), ATTRIBUTE_ROWS, ids=str)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_wrong_attribute_is_refused_in_the_references_words(
    client: Client, method: str, wrong: dict[str, Any], type: str, message: str
) -> None:
    """A wrong value is 400 with the reference's type and message, on create as on update."""
    router = await client.router()
    if method == "POST":
        path, body = helpers_of(router["id"]), TFTP | wrong
    else:
        helper = await client.helper(router["id"])
        path, body = helpers_of(router["id"], helper["id"]), wrong
    answer = await client.ask(method, path, {"conntrack_helper": body})
    assert error_of(answer) == (400, type, message)


@pytest.mark.parametrize("missing", ["protocol", "port", "helper"])
async def test_a_required_attribute_must_be_there(client: Client, missing: str) -> None:
    router = await client.router()
    body = {name: value for name, value in TFTP.items() if name != missing}
    answer = await client.ask("POST", helpers_of(router["id"]), {"conntrack_helper": body})
    words = f"Failed to parse request. Required attribute '{missing}' not specified"
    assert error_of(answer) == (400, "HTTPBadRequest", words)


async def test_an_id_is_never_taken_from_a_body(client: Client) -> None:
    """Neither `id` nor the owner can be set: each refusal has the reference's words."""
    router = await client.router()
    helper = await client.helper(router["id"])
    created = {"conntrack_helper": {**TFTP, "port": 70, "id": str(uuid4())}}
    answer = await client.ask("POST", helpers_of(router["id"]), created)
    assert error_of(answer) == (400, "HTTPBadRequest", "Attribute 'id' not allowed in POST")
    for name, value in [("id", helper["id"]), ("project_id", "mine")]:
        changed = {"conntrack_helper": {name: value}}
        answer = await client.ask("PUT", helpers_of(router["id"], helper["id"]), changed)
        words = f"Cannot update read-only attribute {name}"
        assert error_of(answer) == (400, "HTTPBadRequest", words)


@pytest.mark.parametrize(
    ("content", "type", "message"),
    [
        (b"{", "MalformedRequestBody", "Malformed request body: Cannot understand JSON."),
        (b"\xff", "MalformedRequestBody", "Malformed request body: Cannot understand JSON."),
        (b"[NaN]", "MalformedRequestBody", "Malformed request body: Cannot understand JSON."),
        (b"[" * 99999, "MalformedRequestBody", "Malformed request body: Cannot understand JSON."),
        (b"", "HTTPBadRequest", "Resource body required"),
        (b"{}", "HTTPBadRequest", "Resource body required"),
        (b"[1]", "HTTPBadRequest", "Body contains invalid data"),
        (b'{"x": 1}', "HTTPBadRequest", "Unable to find 'conntrack_helper' in request body"),
        (
            b'{"conntrack_helper": 5}',
            "HTTPBadRequest",
            "Object 'conntrack_helper' contains invalid data",
        ),
        (b'{"conntrack_helpers": []}', "HTTPBadRequest", "Resources required"),
        (b'{"conntrack_helpers": {"a": 1}}', "HTTPBadRequest", "Body contains invalid data"),
    ],
)
async def test_a_body_that_cannot_be_meant(
    client: Client, content: bytes, type: str, message: str
) -> None:
    """What is no JSON, or no such object, is 400 and names what was expected."""
    router = await client.router()
    answer = await client.ask("POST", helpers_of(router["id"]), content=content)
    assert error_of(answer) == (400, type, message)


async def test_a_duplicate_is_refused_on_create_and_on_update(client: Client) -> None:
    """The same helper at the same port of one router is 400 and shows the conflicting values."""
    router = await client.router()
    await client.helper(router["id"])
    other = await client.helper(router["id"], port=70)
    values = {"router_id": router["id"], "protocol": "udp", "port": 69, "helper": "tftp"}
    message = (
        "Bad conntrack_helper request: A duplicate conntrack helper entry with same attributes "
        f"already exists, conflicting values are {values}."
    )
    again = await client.ask("POST", helpers_of(router["id"]), {"conntrack_helper": TFTP})
    assert error_of(again) == (400, "BadRequest", message)
    moved = {"conntrack_helper": {"port": 69}}
    onto = await client.ask("PUT", helpers_of(router["id"], other["id"]), moved)
    assert error_of(onto) == (400, "BadRequest", message)


async def test_the_same_helper_on_another_router_is_no_duplicate(client: Client) -> None:
    one, other = [await client.helper((await client.router())["id"]) for _ in range(2)]
    assert one["id"] != other["id"]


async def test_an_alias_and_the_kernels_name_are_the_same_helper(client: Client) -> None:
    """`h323` over tcp is `Q.931`: declared twice, it is a duplicate, named as it was declared."""
    router = await client.router()
    await client.helper(router["id"], protocol="tcp", port=1720, helper="h323")
    body = {"protocol": "tcp", "port": 1720, "helper": "Q.931"}
    answer = await client.ask("POST", helpers_of(router["id"]), {"conntrack_helper": body})
    status, type, message = error_of(answer)
    assert (status, type) == (400, "BadRequest")
    assert "'helper': 'h323'" in message


async def test_eight_racing_creates_of_the_same_helper(client: Client) -> None:
    """Exactly one is 201; the seven others are told that they are duplicates."""
    router = await client.router()
    answers = await asyncio.gather(
        *(
            client.ask("POST", helpers_of(router["id"]), {"conntrack_helper": TFTP})
            for _ in range(8)
        )
    )
    assert sorted(each.status_code for each in answers) == [201] + [400] * 7
    listed = await client.ask("GET", helpers_of(router["id"]))
    assert len(listed.json()["conntrack_helpers"]) == 1


async def test_many_creates_of_different_helpers_at_once(client: Client) -> None:
    """All of them are made: changes of one router take turns, and none is refused for it."""
    router = await client.router()
    bodies = [{"conntrack_helper": {**TFTP, "port": port}} for port in range(1, 61)]
    answers = await asyncio.gather(
        *(client.ask("POST", helpers_of(router["id"]), body) for body in bodies)
    )
    assert {each.status_code for each in answers} == {201}
    listed = (await client.ask("GET", helpers_of(router["id"]))).json()["conntrack_helpers"]
    assert sorted(each["port"] for each in listed) == list(range(1, 61))


async def test_two_servers_over_one_store() -> None:
    """Racing through both: no helper is made twice, and none that was answered 201 is lost."""
    store = MemoryStore()
    async with running(store) as one, running(store) as two:
        clients = [Client(one.app()), Client(two.app())]
        router = await clients[0].router()
        path = helpers_of(router["id"])
        await two.mirror.reached(one.mirror.revision)
        bodies = [{"conntrack_helper": {**TFTP, "port": port}} for port in (1, 2, 3, 4)]
        answers = await asyncio.gather(
            *(client.ask("POST", path, body) for body in bodies for client in clients)
        )
        assert sorted(each.status_code for each in answers) == [201] * 4 + [400] * 4
        made = {
            each.json()["conntrack_helper"]["id"] for each in answers if each.status_code == 201
        }
        await one.mirror.reached(two.mirror.revision)
        await two.mirror.reached(one.mirror.revision)
        for client in clients:
            listed = (await client.ask("GET", path)).json()["conntrack_helpers"]
            assert {each["id"] for each in listed} == made


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("helper", ["missing", "not-a-uuid", "under-another-router"])
async def test_a_helper_that_is_not_there(client: Client, method: str, helper: str) -> None:
    """Missing, no UUID, or another router's: the same 404, with the id that was asked for."""
    router, other = await client.router(), await client.router()
    ids = {
        "missing": str(uuid4()),
        "not-a-uuid": "tftp",
        "under-another-router": (await client.helper(other["id"]))["id"],
    }
    wanted = ids[helper]
    body = {"conntrack_helper": {"port": 70}} if method == "PUT" else None
    answer = await client.ask(method, helpers_of(router["id"], wanted), body)
    words = f"Conntrack Helper {wanted} could not be found."
    assert error_of(answer) == (404, "ConntrackHelperNotFound", words)


@pytest.mark.parametrize("router", ["not-a-uuid", "6a9c8d5e-0000-4000-8000-000000000000"])
async def test_a_helper_for_a_router_that_is_not_there(client: Client, router: str) -> None:
    answer = await client.ask("POST", helpers_of(router), {"conntrack_helper": TFTP})
    assert error_of(answer) == (404, "RouterNotFound", f"Router {router} could not be found")


async def test_the_order_of_checks(client: Client) -> None:
    """Attributes, then policy, then what the helper must be, then whether the router exists."""
    missing = helpers_of(str(uuid4()))
    wrong_port = {"conntrack_helper": {**TFTP, "port": 0, "helper": "X"}}
    attributes = await client.ask("POST", missing, wrong_port, who="reader")
    assert error_of(attributes)[0:2] == (400, "HTTPBadRequest")
    wrong_helper = {"conntrack_helper": {**TFTP, "helper": "X"}}
    policy = await client.ask("POST", missing, wrong_helper, who="reader")
    words = f"rule:{CREATE} is disallowed by policy"
    assert error_of(policy) == (403, "PolicyNotAuthorized", words)
    constraint = await client.ask("POST", missing, wrong_helper)
    assert error_of(constraint)[0:2] == (400, "ConntrackHelperNotAllowed")
    existence = await client.ask("POST", missing, {"conntrack_helper": TFTP})
    assert error_of(existence)[0:2] == (404, "RouterNotFound")


@pytest.mark.parametrize(
    ("method", "member", "allowed"),
    [
        ("PATCH", True, "GET, PUT, DELETE"),
        ("POST", True, "GET, PUT, DELETE"),
        ("PATCH", False, "GET, POST"),
        ("PUT", False, "GET, POST"),
        ("DELETE", False, "GET, POST"),
        ("BREW", False, "GET, POST"),
    ],
)
async def test_a_method_that_is_not_allowed(
    client: Client, method: str, member: bool, allowed: str
) -> None:
    """405 with the type that clients know, and ``Allow``."""
    router = await client.router()
    helper = await client.helper(router["id"])
    path = helpers_of(router["id"], helper["id"] if member else "")
    answer = await client.ask(method, path)
    assert error_of(answer)[0:2] == (405, "HTTPMethodNotAllowed")
    assert answer.headers["allow"] == allowed


async def test_a_delete_with_a_body(client: Client) -> None:
    router = await client.router()
    helper = await client.helper(router["id"])
    answer = await client.ask("DELETE", helpers_of(router["id"], helper["id"]), {"x": 1})
    words = "Request body is not supported in DELETE."
    assert error_of(answer) == (400, "HTTPBadRequest", words)


async def test_what_is_not_ours_is_not_found(client: Client) -> None:
    """Networks, subnets and whatever else Neutron has: 404 in the usual shape."""
    for method, path in [
        ("GET", "/v2.0/networks"),
        ("POST", "/v2.0/subnets"),
        ("POST", "/v2.0/ports"),
        ("GET", "/v2.0/routers/x/y"),
        ("GET", "/v2.0x"),
    ]:
        answer = await client.ask(method, path)
        assert error_of(answer) == (404, "HTTPNotFound", "The resource could not be found.")


async def test_overlapping_destinations_name_the_first(client: Client) -> None:
    """Two different helpers for the same packets: 400 that names the one that has them."""
    router = await client.router()
    first = await client.helper(router["id"], protocol="udp", port=5060, helper="sip")
    body = {"conntrack_helper": {"protocol": "udp", "port": 5060, "helper": "tftp"}}
    status, type, message = error_of(await client.ask("POST", helpers_of(router["id"]), body))
    assert (status, type) == (400, "BadRequest")
    assert "sip" in message and first["id"] in message


async def test_a_conditional_request_is_refused_rather_than_ignored(client: Client) -> None:
    """Who makes a change depend on a revision must not be served as if he had not."""
    router = await client.router()
    answer = await client.ask(
        "PUT",
        f"/v2.0/routers/{router['id']}",
        {"router": {"name": "x"}},
        headers={"If-Match": "revision_number=1"},
    )
    assert error_of(answer)[0:2] == (400, "BadRequest")


async def test_an_unsound_record_is_503_and_its_neighbours_live(
    server: Server, client: Client
) -> None:
    """A router whose record somebody edited in the store is not served; all others are."""
    broken, sound = await client.router(), await client.router()
    key = f"router/{broken['id']}"
    stored = await server.store.get(key)
    assert stored is not None
    forged = stored.value.replace(b"mine", b"mime")
    assert forged != stored.value
    revision = await server.store.commit([], [Put(key, forged)], write_id="forger")
    assert isinstance(revision, int)
    await server.mirror.reached(revision)
    for method, path, body in [
        ("GET", f"/v2.0/routers/{broken['id']}", None),
        ("PUT", f"/v2.0/routers/{broken['id']}", {"router": {"name": "x"}}),
        ("DELETE", f"/v2.0/routers/{broken['id']}", None),
        ("POST", helpers_of(broken["id"]), {"conntrack_helper": TFTP}),
    ]:
        assert error_of(await client.ask(method, path, body))[0] == 503
    listed = (await client.ask("GET", "/v2.0/routers")).json()["routers"]
    assert [each["id"] for each in listed] == [sound["id"]]
    await client.helper(sound["id"])
