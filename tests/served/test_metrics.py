"""What Prometheus reads of a real server, alone and beside its agent."""

import re
import socket
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from ctherd.lab.namespace import Namespace
from tests.kernel.host import becomes
from tests.served.server import FTP, Site

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
SERVER = "## Of the server"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(answer: httpx.Response) -> Samples:
    assert answer.status_code == 200, answer.text
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in text_string_to_metric_families(answer.text)
        for each in family.samples
    }


def names(samples: Samples) -> set[str]:
    served = {name for name, _ in samples if not name.endswith("_created")}
    return {re.sub("_(bucket|count|sum)$", "", name) for name in served}


def documented(part: int) -> set[str]:
    """Return the names in the page's part on agents (0) or on the server (2)."""
    return set(re.findall(r"`(ctherd_\w+)", DOCS.read_text().partition(SERVER)[part]))


def test_every_metric_of_a_server_is_served_and_documented(site: Site) -> None:
    """API, store, streams and hosts, of `ctherd up` as of `ctherd server`."""
    with site.up() as up, site.client() as client:
        assert becomes(lambda: names(read(client.get("/metrics"))) == documented(2))
        site.command.end(up)
    token = (site.command.server_state / "admin-token").read_text().strip()
    with site.server(), site.client(token) as client:
        client.get("/v2.0/routers")
        assert names(read(client.get("/metrics"))) == documented(2)


def test_what_a_change_costs_the_store_is_counted(site: Site, netns: Namespace) -> None:
    """Two changes, each in a commit; nothing waits, and the copy in memory has what was made."""
    with site.up(), site.client() as client:
        before = read(client.get("/metrics"))
        site.helper(client, site.router(client, netns.name), FTP, wait="10")
        after = read(client.get("/metrics"))

        def grown(name: str, **labels: str) -> float:
            key = (name, frozenset(labels.items()))
            return after[key] - before[key]

        nothing: frozenset[tuple[str, str]] = frozenset()
        assert grown("ctherd_changes_per_commit_sum") == 2
        assert grown("ctherd_store_commits_total", outcome="committed") >= 2
        assert grown("ctherd_store_commit_seconds_count") >= 2
        assert grown("ctherd_mirror_revision") >= 2
        assert after["ctherd_mirror_stale", nothing] == 0
        assert after["ctherd_changes_waiting", nothing] == 0


def test_the_agent_beside_a_server_serves_its_own(site: Site, netns: Namespace) -> None:
    """At the address in `metrics`, as when it is alone."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    path = site.command.directory / "ctherd.toml"
    path.write_text(path.read_text().replace('metrics = ""', f'metrics = "127.0.0.1:{port}"'))
    with site.up(), site.client() as client:
        site.helper(client, site.router(client, netns.name), FTP, wait="10")
        url = f"http://127.0.0.1:{port}/metrics"
        active = ("ctherd_assignments", frozenset({("status", "active")}))
        assert becomes(lambda: read(httpx.get(url, trust_env=False))[active] == 1)
        # Nothing expects anything here, and nothing failed.
        silent = {"ctherd_expectations", "ctherd_errors_total"}
        assert names(read(httpx.get(url, trust_env=False))) | silent == documented(0)
