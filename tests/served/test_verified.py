"""What `ctherd verify` proved on a host is served by the server that the host follows."""

import json
from typing import Any

import httpx

from ctherd.lab.topology import Topology
from tests.kernel.host import becomes
from tests.served.server import FTP, Site, told


def details(client: httpx.Client, router: str) -> list[dict[str, Any]]:
    """How the one helper of *router* fares, by host and family."""
    answer = client.get(
        f"/v2.0/routers/{router}/conntrack_helpers", params={"fields": "status_details"}
    )
    (helper,) = told(answer)["conntrack_helpers"]
    return list(helper["status_details"])


def test_verified_at_goes_up_and_goes_stale(site: Site) -> None:
    """Of each host and family: nothing at first, then the time, and nothing after a new rule."""
    with Topology.build() as net, site.up(), site.client() as client:
        netns = net.router
        router = site.router(client, netns.name)
        site.helper(client, router, FTP, wait="10")
        assert {each["verified_at"] for each in details(client, router)} == {None}
        said = json.loads(site.ctherd("verify", netns.name, "-o", "json"))
        when = {each["family"]: each["when"] for each in said["routers"][0]["evidence"]}
        assert when.keys() == {"ipv4", "ipv6"}
        assert becomes(
            lambda: {e["family"]: e["verified_at"] for e in details(client, router)} == when
        )
        assert {each["verified_by"] for each in details(client, router)} == {"probe"}
        assert "ipv4 active (verified 20" in site.ctherd("show", "--server", site.url)
        netns.nft("add table inet other; add chain inet other c")
        assert becomes(lambda: {e["verified_at"] for e in details(client, router)} == {None})
        assert {each["status"] for each in details(client, router)} == {"active"}
