"""How long after a POST a helper is in the kernel, all fsyncs included: ``ctherd up``, one host.

A real ``ctherd up`` (server and agent in one process, SQLite with ``synchronous=FULL``, signed
documents, audit, journal) over namespaces of its own. Helpers are declared one after the other; a
listener in the router's netns hears the kernel announce each commit, and its arrival is what is
timed: from the request, and from the answer (0 if the kernel was first). Then 150 requests follow
each other as fast as they are answered, to one router, until the kernel has the last.

It does not say what a network between server and agent adds, nor what a busy host does.
"""

import time
from contextlib import closing
from statistics import median
from typing import Final

from bench import in_kernel
from bench.commits import Commits
from bench.namespaces import crowd
from bench.row import Row
from bench.server import Asker, asker, served
from bench.size import Size
from bench.timing import percentile
from ctherd.model.document import NetnsName
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import NetnsDirectory

_PATIENCE_S: Final = 10.0
_HELPERS: Final = 10
_IN_A_ROW: Final = 150


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    routers = max(size.requests // _HELPERS // 2, 1)
    with (
        crowd(routers + 1) as (path, names),
        served("up", f"--netns-dir={path}") as server,
        asker(server) as client,
    ):
        directory = NetnsDirectory(path)
        host = _host(client)
        last = names.pop()
        laps = [lap for netns in names for lap in _one_by_one(client, host, directory, netns)]
        in_a_row_s = _in_a_row(client, host, directory, last)
    in_all = [in_all_s for in_all_s, _ in laps]
    after = [after_s for _, after_s in laps]
    return [
        Row("POST → in the kernel, in all: p50", median(in_all) * 1e3, "ms", 15),
        Row("POST → in the kernel, in all: p99", percentile(in_all, 99) * 1e3, "ms"),
        Row("POST answered → in the kernel: p50", median(after) * 1e3, "ms", 5),
        Row("POST answered → in the kernel: p99", percentile(after, 99) * 1e3, "ms", 25),
        Row(f"{_IN_A_ROW} POSTs in a row, until the kernel has the last", in_a_row_s, "s", 1.5),
    ]


class _Kernel:
    """One netns as the kernel has it, and its announcements of commits."""

    def __init__(self, directory: NetnsDirectory, netns: NetnsName) -> None:
        self._namespace = directory.open(netns)
        self.commits = Commits(directory, netns)

    def close(self) -> None:
        """Let go of the netns."""
        self.commits.close()
        self._namespace.close()

    def helpers(self) -> int:
        """Count what is assigned."""
        return in_kernel.assigned(Dialogue(self._namespace.transport, self._namespace.name))


def _host(client: Asker) -> str:
    deadline_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline_s:
        if hosts := client.ask("GET", "/v1/hosts")["hosts"]:
            return str(hosts[0]["host"])
        time.sleep(0.02)
    raise AssertionError("the agent of this host does not come")


def _helpers_of(client: Asker, host: str, netns: NetnsName) -> str:
    body = {"router": {"placements": [{"host": host, "netns": netns}]}}
    router = client.ask("POST", "/v2.0/routers", body)["router"]["id"]
    return f"/v2.0/routers/{router}/conntrack_helpers"


def _one_by_one(
    client: Asker, host: str, directory: NetnsDirectory, netns: NetnsName
) -> list[tuple[float, float]]:
    """Return, for each helper of a router, the time since the request and since the answer."""
    path = _helpers_of(client, host, netns)
    with closing(_Kernel(directory, netns)) as kernel:
        return [_declared(client, path, port, kernel) for port in range(1, _HELPERS + 1)]


def _declared(client: Asker, path: str, port: int, kernel: _Kernel) -> tuple[float, float]:
    began_s = time.perf_counter()
    client.ask("POST", path, _helper(port))
    answered_s = time.perf_counter()
    # An announcement that came before the answer waited in the socket, and counts from the answer.
    true_s = kernel.commits.next_s()
    return true_s - began_s, true_s - answered_s


def _in_a_row(client: Asker, host: str, directory: NetnsDirectory, netns: NetnsName) -> float:
    path = _helpers_of(client, host, netns)
    with closing(_Kernel(directory, netns)) as kernel:
        began_s = time.perf_counter()
        for port in range(1, _IN_A_ROW + 1):
            client.ask("POST", path, _helper(port))
        while kernel.helpers() < _IN_A_ROW:
            kernel.commits.next_s()
        return time.perf_counter() - began_s


def _helper(port: int) -> dict[str, object]:
    return {"conntrack_helper": {"protocol": "udp", "port": port, "helper": "tftp"}}
