"""`ctherd up`: declared over HTTP, true in the kernel, as `nft` sees it."""

import signal
import stat

import httpx
import pytest

from ctherd.lab.namespace import Namespace
from tests.kernel.host import assigned, becomes
from tests.served.server import FTP, HERE, TFTP, Site, told


def test_what_is_declared_over_http_is_in_the_kernel(site: Site, netns: Namespace) -> None:
    """Without any set-up: a router, a helper, an answer that says `active`, and `nft` agrees."""
    with site.up() as up, site.client() as client:
        router = site.router(client, netns.name)
        helper = site.helper(client, router, FTP, wait="10")
        assert helper["status"] == "active"
        assert assigned(netns.name) == {21}
        site.helper(client, router, TFTP)
        assert becomes(lambda: assigned(netns.name) == {21, 69})
        member = f"/v2.0/routers/{router}/conntrack_helpers/{helper['id']}"
        assert client.delete(member, params={"wait": "10"}).status_code == 204
        assert assigned(netns.name) == {69}
        assert client.delete(f"/v2.0/routers/{router}", params={"wait": "10"}).status_code == 204
        assert assigned(netns.name) == set()
        site.command.end(up)


def test_nothing_is_lost_over_a_restart(site: Site, netns: Namespace) -> None:
    """Ended and started again, it has the same routers, tokens and keys; the kernel stays."""
    with site.up() as up, site.client() as client:
        site.helper(client, site.router(client, netns.name), FTP, wait="10")
        keys = told(client.get("/v1/keys"))["keys"]
        site.command.end(up)
    assert assigned(netns.name) == {21}
    token = (site.command.server_state / "admin-token").read_text().strip()
    with site.up(), site.client(token) as client:
        assert told(client.get("/v1/keys"))["keys"] == keys
        (router,) = told(client.get("/v2.0/routers"))["routers"]
        assert router["conntrack_helpers"] == [FTP]
        site.helper(client, router["id"], TFTP, wait="10")
        assert assigned(netns.name) == {21, 69}


def test_secrets_are_private(site: Site) -> None:
    """Nobody but root can read a token or a key, and the log has neither."""
    with site.up():
        state = site.command.server_state
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        for file in state.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        log = site.command.log.read_text()
        for name in ("admin-token", "agent-token"):
            assert (state / name).read_text().strip() not in log


def test_nobody_gets_in_without_a_token(site: Site) -> None:
    """Being on the same machine proves nothing."""
    with site.up():
        for headers in ({}, {"X-Auth-Token": "notused"}, {"X-Auth-Token": "ctherd_0_0"}):
            answer = httpx.get(f"{site.url}/v2.0/routers", headers=headers, trust_env=False)
            assert answer.status_code == 401
        agent = (site.command.server_state / "agent-token").read_text().strip()
        with site.client(agent) as client:
            assert told(client.get("/v2.0/routers"))["routers"] == []
            assert client.post("/v2.0/routers", json={"router": {}}).status_code in (400, 403)


def test_a_router_that_nobody_places_is_here(site: Site) -> None:
    """On one machine there is nothing to choose: the netns is named as Neutron names it."""
    with site.up(), site.client() as client:
        query = {"extension": "ctherd-conntrack-helper"}
        body = {"router": {"name": "edge"}}
        made = told(client.post("/v2.0/routers", json=body, params=query), 201)["router"]
        assert made["placements"] == [{"host": HERE, "netns": f"qrouter-{made['id']}"}]


def test_without_identity_it_is_loopback_and_asked_for(site: Site) -> None:
    """`--identity none` lets local programs in without a token, and web pages not."""
    with site.up("--identity", "none"), httpx.Client(base_url=site.url, trust_env=False) as client:
        told(client.post("/v2.0/routers", json={"router": {"name": "x"}}), 201)
        rebound = client.get("/v2.0/routers", headers={"Host": "evil.example"})
        assert rebound.status_code == 401
        form = client.post("/v2.0/routers", content=b"{}", headers={"Content-Type": "text/plain"})
        assert form.status_code == 401


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_up_is_for_this_machine_alone(site: Site, address: str) -> None:
    """It speaks plain HTTP, so it listens on loopback or not at all."""
    said = site.ctherd("up", "--listen", address, expect=1)
    assert "for this machine alone" in said
    assert "ctherd server" in said


def test_a_second_one_is_one_clear_error(site: Site) -> None:
    """Whoever starts it twice is told, and the first goes on."""
    with site.up() as up:
        said = site.ctherd("up", "--listen", "127.0.0.1:0", expect=1)
        assert "another ctherd" in said
        port = site.url.rpartition(":")[2]
        said = site.ctherd("server", "--listen", f"127.0.0.1:{port}", expect=1)
        assert "nothing can listen" in said
        assert up.returncode() is None


def test_it_ends_gracefully_whoever_follows(site: Site, netns: Namespace) -> None:
    """SIGTERM ends it within seconds though a stream is open, and leaves the kernel alone."""
    with site.up() as up, site.client() as client:
        site.helper(client, site.router(client, netns.name), FTP, wait="10")
        with client.stream("GET", "/v1/events") as events:
            lines = events.iter_lines()
            assert "in-sync" in next(lines)
            up.signal(signal.SIGTERM)
            for _ in lines:
                pass
        assert up.wait(10) == 0
    assert assigned(netns.name) == {21}
    assert not (site.command.server_state / "url").exists()
