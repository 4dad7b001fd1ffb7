"""What idle agents cost the server that they watch, and how soon one of them hears of its change.

A real ``ctherd server`` over SQLite on disk, without and with TLS, and 1,000 hosts whose watch
streams are open, each with a router placed on it. Memory is what the server's resident size grew by
while the watches were opened, divided by their number. Then helpers are declared on one router
after the other, in random order, and timed is what lies between the request (not its answer) and
the line's arrival on the stream of its host: authorization, signature, fsync and fan-out included.

The streams are opened by one program on loopback with an administrator's token. It does not say
what verifying and applying a document costs an agent.
"""

import asyncio
import json
import random
import time
from statistics import median
from typing import Final

from bench import scratch
from bench.certificate import self_signed
from bench.memory import resident_kb
from bench.row import Row
from bench.server import Asker, Served, asker, served
from bench.size import Size
from bench.timing import percentile

_PLAIN_KB: Final = 60
_TLS_KB: Final = 350
_ARRIVES_MS: Final = 20
_PATIENCE_S: Final = 60.0


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    with served() as server:
        rows = _rows(server, size, "plain", _PLAIN_KB)
    with (
        scratch.directory() as at,
        served(certificate=self_signed(at)) as server,
    ):
        return rows + _rows(server, size, "TLS", _TLS_KB)


def _rows(server: Served, size: Size, how: str, bound_kb: float) -> list[Row]:
    with asker(server) as client:
        routers = [_declared(client, number) for number in range(size.watchers)]
        grown_kb, arrivals_s = asyncio.run(_watched(server, client, routers, size.changes))
    what = f"{size.watchers} idle agents, {how}"
    return [
        Row(f"{what}: server memory each", grown_kb / size.watchers, "KB", bound_kb),
        Row(f"{what}: a change arrives, p50", median(arrivals_s) * 1e3, "ms"),
        Row(f"{what}: a change arrives, p99", percentile(arrivals_s, 99) * 1e3, "ms", _ARRIVES_MS),
    ]


def _declared(client: Asker, number: int) -> str:
    body = {"router": {"placements": [{"host": f"bench-{number}"}]}}
    return str(client.ask("POST", "/v2.0/routers", body)["router"]["id"])


async def _watched(
    server: Served, client: Asker, routers: list[str], changes: int
) -> tuple[float, list[float]]:
    """Open a watch for each router's host; return the server's growth, and arrivals of changes."""
    before_kb = resident_kb(server.child.pid)
    watches = [_Watch(number) for number in range(len(routers))]
    # In small groups, as agents come: a thousand handshakes at once measure the backlog.
    for start in range(0, len(watches), 20):
        group = watches[start : start + 20]
        await asyncio.gather(*(each.open(server) for each in group))
    grown_kb = resident_kb(server.child.pid) - before_kb
    arrivals_s = [
        await _arrival_s(client, number, watches[number], routers[number])
        for number in random.choices(range(len(routers)), k=changes)
    ]
    for each in watches:
        each.close()
    return grown_kb, arrivals_s


async def _arrival_s(client: Asker, number: int, watch: "_Watch", router: str) -> float:
    path = f"/v2.0/routers/{router}/conntrack_helpers"
    body = {"protocol": "udp", "port": random.randint(1, 65535), "helper": "tftp"}
    while body["port"] in watch.ports:
        body["port"] = random.randint(1, 65535)
    watch.ports.add(body["port"])
    heard = asyncio.ensure_future(watch.hear("document"))
    await asyncio.sleep(0)
    began_s = time.perf_counter()
    await asyncio.to_thread(client.ask, "POST", path, {"conntrack_helper": body})
    return await asyncio.wait_for(heard, _PATIENCE_S) - began_s


class _Watch:
    """The open watch of one host."""

    def __init__(self, number: int) -> None:
        self._host = f"bench-{number}"
        self.ports: set[object] = set()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self, server: Served) -> None:
        """Connect, and read until the stream is in sync."""
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=server.tls, limit=1 << 20
        )
        self._writer.write(
            f"GET /v1/hosts/{self._host}/watch HTTP/1.1\r\nHost: localhost\r\n"
            f"X-Auth-Token: {server.token}\r\n\r\n".encode()
        )
        await asyncio.wait_for(self.hear("in-sync"), _PATIENCE_S)

    async def hear(self, kind: str) -> float:
        """Read until a line of *kind*; return when it came."""
        while True:
            line = await self._reader.readuntil(b"\n")
            heard_s = time.perf_counter()
            # Between the lines stand the sizes of HTTP's chunks, which are no objects.
            if line.startswith(b"{") and json.loads(line)["type"] == kind:
                return heard_s

    def close(self) -> None:
        """Hang up."""
        self._writer.transport.abort()
