"""`kill -9` under load: what was acknowledged is there, and the kernel never lost anything."""

import threading
from collections.abc import Iterator
from itertools import count

import httpx

from ctherd.lab.namespace import Namespace
from tests.kernel.host import assigned, becomes
from tests.served.server import FTP, Site, told

WRITERS = 4
ACKNOWLEDGED = 40
"""So many before the kill; the rest is under way when it comes."""


def test_a_kill_under_load_loses_no_acknowledged_write(site: Site, netns: Namespace) -> None:
    """Every helper whose 201 came is in the store after the restart, and then in the kernel."""
    acknowledged: list[int] = []
    seen: set[int] = set()
    with site.up() as up, site.client() as client:
        router = site.router(client, netns.name)
        path = f"/v2.0/routers/{router}/conntrack_helpers"
        ports = iter(count(10_000))
        enough = threading.Event()
        writers = [
            threading.Thread(target=write, args=(site, path, ports, acknowledged, enough))
            for _ in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        assert enough.wait(30)
        seen = assigned(netns.name)
        up.kill()
        for writer in writers:
            writer.join(30)
            assert not writer.is_alive()
    assert seen and seen <= assigned(netns.name)
    with site.up(), site.client() as client:
        declared = {each["port"] for each in told(client.get(path))["conntrack_helpers"]}
        assert set(acknowledged) <= declared
        assert becomes(lambda: assigned(netns.name) == declared)
        # At most what was under way may be there without an acknowledgement.
        assert len(declared - set(acknowledged)) <= WRITERS


def write(
    site: Site, path: str, ports: Iterator[int], acknowledged: list[int], enough: threading.Event
) -> None:
    """Declare helpers, one after the other, until nobody answers."""
    with site.client() as client:
        try:
            while True:
                port = next(ports)
                body = {"conntrack_helper": {**FTP, "port": port}}
                if client.post(path, json=body).status_code == 201:
                    acknowledged.append(port)
                if len(acknowledged) >= ACKNOWLEDGED:
                    enough.set()
        except httpx.HTTPError:
            return


def test_killed_again_and_again_it_starts_again(site: Site, netns: Namespace) -> None:
    """A start after each kill needs nobody's help, and the audit tells where it was cut short."""
    router = ""
    for port in (10_001, 10_002, 10_003):
        with site.up() as up, site.client() as client:
            router = router or site.router(client, netns.name)
            assert site.helper(client, router, {**FTP, "port": port}, wait="10")["port"] == port
            up.kill()
    assert assigned(netns.name) == {10_001, 10_002, 10_003}
    assert "nothing was edited" in site.ctherd("audit", "verify")
