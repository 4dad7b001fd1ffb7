"""What shall become of live flows, declared over HTTP: real FTP through NAT."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from ctherd.demo.lab import Lab
from ctherd.lab.namespace import Namespace
from ctherd.model.catalog import Family
from tests.kernel.host import becomes
from tests.kernel.test_revocation import connect, control, passive, witnessed
from tests.served.server import FTP, HERE, TFTP, Site, told
from tests.served.test_commands import herd
from tests.served.test_options import client_of

ADOPT: dict[str, Any] = {"adopt_flows": True}

FAMILIES = pytest.mark.parametrize("family", list(Family))


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Client, NAT router and server, with FTP served."""
    with Lab.open() as opened:
        yield opened


def tracked(router: Namespace, port: int) -> bool:
    """Tell whether the conntrack program lists a connection to *port*."""
    return f"dport={port} " in router.run(["conntrack", "-L", "-p", "tcp"]).stdout


def gone(router: Namespace, port: int) -> bool:
    return not tracked(router, port)


def member(router: str, helper: dict[str, Any]) -> str:
    return f"/v2.0/routers/{router}/conntrack_helpers/{helper['id']}"


def change(client: httpx.Client, path: str, **differs: Any) -> httpx.Response:
    body = {"conntrack_helper": differs}
    return client.put(path, json=body, params={"wait": "10"})


def test_a_tenant_says_that_flows_end_with_their_helper(site: Site, lab: Lab) -> None:
    """Declared with `kill`, a DELETE ends the data connection; with `detach` it goes on."""
    with site.up() as up, site.client() as client:
        router = site.router(client, lab.net.router.name)
        for declared, survives in ((FTP | {"on_revoke": "kill"}, False), (FTP, True)):
            helper = site.helper(client, router, declared, wait="10")
            with control(lab, Family.IPV4) as ftp, connect(lab, passive(ftp, Family.IPV4)) as data:
                port = data.getpeername()[1]
                assert tracked(lab.net.router, port)
                assert client.delete(member(router, helper), params={"wait": "10"}).is_success
                assert becomes(lambda: witnessed(lab.net.router) == (0, 0))
                assert survives or becomes(partial(gone, lab.net.router, port))
                assert tracked(lab.net.router, port) is survives
            lab.net.router.run(["conntrack", "-F"])
        site.command.end(up)


@FAMILIES
def test_an_open_connection_is_reached(site: Site, lab: Lab, family: Family) -> None:
    """A PUT of `adopt_flows` lets a helper that is there reach it; it goes on, and is helped."""
    with site.up() as up, site.client() as client:
        router = site.router(client, lab.net.router.name)
        site.helper(client, router, TFTP, wait="10")  # conntrack is on
        with control(lab, family) as ftp:
            helper = site.helper(client, router, FTP, wait="10")
            assert ftp.sendcmd("NOOP").startswith("200")
            assert witnessed(lab.net.router) == (0, 0)
            changed = told(change(client, member(router, helper), **ADOPT))["conntrack_helper"]
            assert (changed["adopt_flows"], changed["status"]) == (True, "active")
            assert becomes(lambda: "were let go" in site.command.log.read_text())
            assert ftp.sendcmd("NOOP").startswith("200")
            assert witnessed(lab.net.router) == (1, 0)
            connect(lab, passive(ftp, family)).close()
        site.command.end(up)


def test_reaching_them_is_for_those_who_may(site: Site, lab: Lab) -> None:
    """A member is refused, and a machine whose own policy refuses says so in the status."""
    site.command.configure()
    text = (site.command.directory / "ctherd.toml").read_text()
    policy = text.replace("[policy]", "[policy]\nallow_adopt_flows = false")
    (site.command.directory / "ctherd.toml").write_text(policy)
    user = ("--user", "mia", "--project", "p", "--role", "member")
    with site.up() as up, site.client() as admin, client_of(site, *user) as mia:
        placements = [{"host": HERE, "netns": lab.net.router.name}]
        body = {"router": {"project_id": "p", "placements": placements}}
        router = told(admin.post("/v2.0/routers", json=body), 201)["router"]["id"]
        helper = site.helper(mia, router, FTP, wait="10")
        assert helper["status"] == "active"
        refused = change(mia, member(router, helper), **ADOPT)
        assert refused.status_code == 403
        assert "ctherd:adopt_flows" in refused.text
        with control(lab, Family.IPV4) as ftp:
            changed = told(change(admin, member(router, helper), **ADOPT))["conntrack_helper"]
            assert changed["status"] == "denied"
            assert "open already" in changed["status_details"][0]["reason"]
            assert ftp.sendcmd("NOOP").startswith("200")
        site.command.end(up)


def test_a_herd_file_says_it_over_a_server(site: Site, lab: Lab) -> None:
    """`plan` shows it, `apply` does it, and then nothing differs."""
    said = FTP | ADOPT | {"on_revoke": "kill"}
    router = {"name": "edge", "netns": lab.net.router.name, "helpers": [said]}
    site.command.herd.write_text(json.dumps({"version": 1, "routers": [router]}))
    with site.up() as up:
        assert "ftp (on_revoke kill, adopt_flows): declared" in herd(site, "plan", expect=2)
        herd(site, "apply", "--wait", "10")
        assert "nothing to change" in herd(site, "plan")
        router["helpers"] = [FTP]
        site.command.herd.write_text(json.dumps({"version": 1, "routers": [router]}))
        assert "other on_revoke, adopt_flows" in herd(site, "plan", expect=2)
        herd(site, "apply", "--wait", "10")
        assert "nothing to change" in herd(site, "plan")
        site.command.end(up)
