"""Unmodified clients of OpenStack: the SDK with its three ways in, and the `openstack` command."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
from openstack import exceptions
from openstack.connection import Connection

from ctherd.authz.identity.none import NoIdentity
from ctherd.authz.identity.token_file import Grant, create_token
from ctherd.authz.identity.tokens import TokenIdentity
from tests.clients.live import Live, live

# What the SDK and its libraries deprecate among themselves is none of ours.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

_OPENSTACK = Path(sys.executable).with_name("openstack")

TFTP = {"protocol": "udp", "port": 69, "helper": "tftp"}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the path of a file of tokens, and the tokens of a member and of an administrator."""
    path = tmp_path_factory.mktemp("tokens") / "tokens.json"
    member, _ = create_token(path, Grant(user="mia", project="mine", roles=("member",)))
    admin, _ = create_token(path, Grant(user="root", project="ops", roles=("admin",)))
    return {"path": path, "member": member, "admin": admin}


@pytest.fixture(scope="module")
def server(tokens: dict[str, Any]) -> Iterator[Live]:
    with live(TokenIdentity(tokens["path"])) as found:
        yield found


@pytest.fixture(scope="module")
def open_server() -> Iterator[Live]:
    with live(NoIdentity("127.0.0.1")) as found:
        yield found


@pytest.fixture(params=["none", "http_basic", "admin_token"])
def sdk(request: pytest.FixtureRequest, tokens: dict[str, Any]) -> Iterator[Connection]:
    """Return the SDK, connected as its users connect it where there is no Keystone."""
    found = request.getfixturevalue("open_server" if request.param == "none" else "server")
    auth = {
        "none": {},
        "http_basic": {"username": "mia", "password": tokens["member"]},
        "admin_token": {"token": tokens["member"]},
    }[request.param]
    connection = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type=request.param,
        auth={"endpoint": found.url, **auth},
        region_name="r",
    )
    yield connection
    connection.close()


def test_the_life_of_a_helper_through_the_sdk(sdk: Connection) -> None:
    """Everything that the SDK can do with a helper and its router."""
    network = sdk.network
    router = network.create_router(name="edge")
    made = network.create_conntrack_helper(router.id, **TFTP)
    assert (made.protocol, made.port, made.helper) == ("udp", 69, "tftp")
    listed = list(network.conntrack_helpers(router.id))
    assert [each.id for each in listed] == [made.id]
    changed = network.update_conntrack_helper(made.id, router.id, port=6969)
    assert changed.port == 6969
    assert network.get_conntrack_helper(made.id, router.id).port == 6969
    found = network.find_router("edge")
    assert found is not None and found.id == router.id
    with pytest.raises(exceptions.BadRequestException, match="does not support: tcp"):
        network.create_conntrack_helper(router.id, **{**TFTP, "protocol": "tcp"})
    network.delete_conntrack_helper(made.id, router.id, ignore_missing=False)
    with pytest.raises(exceptions.NotFoundException):
        network.get_conntrack_helper(made.id, router.id)
    network.update_router(router, name="core", description="renamed", admin_state_up=False)
    assert network.get_router(router.id).description == "renamed"
    network.delete_router(router.id, ignore_missing=False)
    assert network.find_router("core") is None


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_the_sdk_pages_to_the_end(sdk: Connection, limit: int) -> None:
    """Pages of any size come to the whole list, once each, and end."""
    router = sdk.network.create_router(name="paged")
    for port in range(1, 7):
        sdk.network.create_conntrack_helper(router.id, protocol="udp", port=port, helper="tftp")
    listed = [each.port for each in sdk.network.conntrack_helpers(router.id, limit=limit)]
    assert sorted(listed) == list(range(1, 7))
    sdk.network.delete_router(router.id)


def test_the_extensions_through_the_sdk(sdk: Connection) -> None:
    """The SDK finds by its alias whether helpers can be had."""
    found = {each.alias for each in sdk.network.extensions()}
    assert {"router", "l3-conntrack-helper", "expose-l3-conntrack-helper"} <= found
    assert sdk.network.find_extension("l3-conntrack-helper") is not None
    assert sdk.network.find_extension("trunk") is None


def test_wrong_tokens_are_told_apart_from_missing_routers(server: Live) -> None:
    """The SDK says that it was not let in."""
    connection = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type="admin_token",
        auth={"endpoint": server.url, "token": "ctherd_wrong"},
        region_name="r",
    )
    with pytest.raises(exceptions.HttpException) as refused:
        list(connection.network.routers())
    assert refused.value.status_code == 401


# -- the command -----------------------------------------------------------------------------------

Command = Callable[..., Any]


@pytest.fixture
def command(server: Live, tokens: dict[str, Any], tmp_path: Path) -> Command:
    """Return what runs `openstack` with arguments, and reads its JSON."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "OS_AUTH_TYPE": "admin_token",
        "OS_ENDPOINT": server.url,
        "OS_TOKEN": tokens["member"],
    }

    def run(*arguments: str, fails: bool = False) -> Any:
        done = subprocess.run(
            [_OPENSTACK, *arguments],
            env=environment,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        assert (done.returncode != 0) == fails, done.stderr
        if fails:
            return done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_the_openstack_command(command: Command) -> None:
    """`openstack network l3 conntrack helper create|list|show|set|delete`, by router name."""
    helper = ("network", "l3", "conntrack", "helper")
    as_json = ("-f", "json")
    router = command("router", "create", "cli", *as_json)
    assert command("router", "show", "cli", *as_json)["id"] == router["id"]
    made = command(
        *helper, "create", "--helper", "tftp", "--protocol", "udp", "--port", "69", "cli", *as_json
    )
    assert (made["helper"], made["protocol"], made["port"]) == ("tftp", "udp", 69)
    listed = command(*helper, "list", "cli", *as_json)
    assert [(each["ID"], each["Router ID"]) for each in listed] == [(made["id"], router["id"])]
    assert command(*helper, "list", "--protocol", "tcp", "cli", *as_json) == []
    command(*helper, "set", "--port", "6969", "cli", made["id"])
    assert command(*helper, "show", "cli", made["id"], *as_json)["port"] == 6969
    twice = ("create", "--helper", "tftp", "--protocol", "udp", "--port", "6969", "cli")
    assert "A duplicate conntrack helper entry" in command(*helper, *twice, fails=True)
    command(*helper, "delete", "cli", made["id"])
    assert command(*helper, "list", "cli", *as_json) == []
    command("router", "delete", "cli")
    assert command("router", "list", *as_json) == []
