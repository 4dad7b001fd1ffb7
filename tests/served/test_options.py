"""What the configuration says of tenants is what they meet, in a real server."""

import signal
import socket
from pathlib import Path
from typing import Any

import httpx

from tests.kernel.host import becomes
from tests.served.server import FTP, TFTP, Site, told

PPTP = {"helper": "pptp", "protocol": "tcp", "port": 1723}


def client_of(site: Site, *grant: str) -> httpx.Client:
    """Return a client with a token that is good for *grant*."""
    return site.client(site.ctherd("token", "create", *grant).strip())


def refused(site: Site, client: httpx.Client, router: str, helper: dict[str, Any]) -> str:
    """Try to declare *helper*; return the type of the error, "" if there is none."""
    path = f"/v2.0/routers/{router}/conntrack_helpers"
    answer = client.post(path, json={"conntrack_helper": helper})
    return "" if answer.status_code == 201 else str(answer.json()["NeutronError"]["type"])


def declared(client: httpx.Client) -> dict[str, Any]:
    return dict(told(client.post("/v2.0/routers", json={"router": {}}), 201)["router"])


def test_strict_asks_a_role_and_quotas_bind(site: Site) -> None:
    """A member gets no pptp, with the role he does; a router takes two helpers, a project three."""
    site.configure(
        'profile = "strict"\n[server.allow]\nquota_per_router = 2\nquota_per_project = 3\n'
    )
    member = ("--user", "mia", "--project", "p", "--role", "member")
    with site.server(), client_of(site, *member) as mia:
        router = declared(mia)["id"]
        assert refused(site, mia, router, PPTP) == "ConntrackHelperNotAllowed"
        with client_of(site, *member, "--role", "conntrack_risky") as max_:
            assert refused(site, max_, router, PPTP) == ""
        assert refused(site, mia, router, FTP) == ""
        assert refused(site, mia, router, TFTP) == "OverQuota"
        other = declared(mia)["id"]
        assert refused(site, mia, other, FTP) == ""
        assert refused(site, mia, other, TFTP) == "OverQuota"


def test_a_reload_reads_what_tenants_may_have(site: Site) -> None:
    """SIGHUP: the profile is another one, and nobody was disconnected."""
    site.configure('profile = "strict"\n')
    member = ("--user", "mia", "--project", "p", "--role", "member")
    with site.server() as server, client_of(site, *member) as mia:
        router = declared(mia)["id"]
        assert refused(site, mia, router, PPTP) == "ConntrackHelperNotAllowed"
        path = site.command.directory / "ctherd.toml"
        path.write_text(path.read_text().replace('"strict"', '"open"'))
        server.signal(signal.SIGHUP)
        assert becomes(lambda: refused(site, mia, router, PPTP) == "")


def test_policy_limits_and_the_default_host_are_those_of_the_file(
    site: Site, tmp_path: Path
) -> None:
    """Members may see placements; a router without any is placed; a body has a bound."""
    policy = tmp_path / "policy.yaml"
    policy.write_text('"ctherd:get_placements": "rule:admin_or_owner"\n')
    site.configure(
        f'policy_file = "{policy}"\ndefault_host = "node-1"\n[server.limits]\nbody_bytes = 2000\n'
    )
    member = ("--user", "mia", "--project", "p", "--role", "member")
    with site.server(), client_of(site, *member) as mia:
        router = declared(mia)["id"]
        path = f"/v2.0/routers/{router}"
        shown = told(mia.get(path, params={"extension": "ctherd-conntrack-helper"}))["router"]
        assert shown["placements"] == [{"host": "node-1", "netns": f"qrouter-{router}"}]
        large = {"router": {"description": "x" * 2000}}
        assert mia.post("/v2.0/routers", json=large).status_code == 413


def test_an_absent_keystone_lets_nobody_in(site: Site) -> None:
    """Its users are told to come again, whatever they show; agents have tokens of the server."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        url = f"http://127.0.0.1:{found.getsockname()[1]}"
    site.configure(
        'identity = "keystone"\n[server.keystone.authtoken]\n'
        f'auth_url = "{url}"\nauth_type = "password"\nusername = "ctherd"\npassword = "p"\n'
        'project_name = "service"\nuser_domain_id = "default"\nproject_domain_id = "default"\n'
        "http_connect_timeout = 2\nhttp_request_max_retries = 0\n"
    )
    with site.server(), site.client("a-token-of-keystone") as user:
        assert user.get("/v2.0/routers").status_code == 503
        with client_of(site, "--host", "node-1") as agent:
            assert agent.post("/v1/hosts/node-1/report", json={"agent": {}}).status_code == 200
        assert user.get("/v2.0/routers", headers={"X-Auth-Token": ""}).status_code == 401
