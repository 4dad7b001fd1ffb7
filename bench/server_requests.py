"""What a request of the API costs the server: its processor time, and how long the answer takes.

A real ``ctherd server`` with tokens over SQLite on disk (``synchronous=FULL``), asked through one
connection, one request after the other: the helpers of routers that have up to ten, and the list of
a router with a thousand. Processor time is that of the whole process: HTTP, policy, signatures,
audit and store, its log included. Every router is placed on a host, so that each change is signed
for it, too; no agent follows.

It does not say what many clients at once get: the store gathers their changes into fewer commits.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Final

from bench.row import Row
from bench.server import Asker, Served, asker, served
from bench.size import Size
from bench.timing import percentile

_BOUND_MS: Final = {"create": 2.0, "show": 0.7, "update": 2.0, "delete": 2.0}
_ANSWER_MS: Final = 15.0
_LIST_MS: Final = 15.0
_HELPERS: Final = 10

Request = Callable[[], object]


@dataclass(slots=True)
class _Cost:
    """What requests of one sort cost."""

    cpu_s: float = 0.0
    laps_s: list[float] = field(default_factory=list)

    @property
    def cpu_ms(self) -> float:
        return self.cpu_s / len(self.laps_s) * 1000


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    with served() as server, asker(server) as client:
        _life(server, client, size.requests // 10)
        costs = _life(server, client, size.requests)
        listed = _list(server, client, size.many, size.lists)
    rows = [
        Row(f"{what}: server CPU", cost.cpu_ms, "ms", _BOUND_MS[what])
        for what, cost in costs.items()
    ]
    rows.append(Row(f"list of {size.many}: server CPU", listed.cpu_ms, "ms", _LIST_MS))
    created = costs["create"].laps_s
    rows.append(Row("create: answered, p50", median(created) * 1000, "ms", _ANSWER_MS))
    rows.append(Row("create: answered, p99", percentile(created, 99) * 1000, "ms"))
    return rows


def _life(server: Served, client: Asker, requests: int) -> dict[str, _Cost]:
    """Create, show, update and delete helpers, ten to a router; return what each sort costs."""
    of = [_helpers_of_new_router(client) for _ in range(max(requests // _HELPERS, 1))]
    made: list[str] = []

    def create(path: str, port: int) -> None:
        body = {"conntrack_helper": {"protocol": "udp", "port": port, "helper": "tftp"}}
        made.append(f"{path}/{client.ask('POST', path, body)['conntrack_helper']['id']}")

    def update(member: str) -> None:
        client.ask("PUT", member, {"conntrack_helper": {"helper": "sip"}})

    creates = [partial(create, path, port) for port in range(1, _HELPERS + 1) for path in of]
    return {
        "create": _cost(server, creates),
        "show": _cost(server, [partial(client.ask, "GET", at) for at in made]),
        "update": _cost(server, [partial(update, at) for at in made]),
        "delete": _cost(server, [partial(client.ask, "DELETE", at) for at in made]),
    }


def _list(server: Served, client: Asker, helpers: int, times: int) -> _Cost:
    """List a router with many helpers, again and again."""
    path = _helpers_of_new_router(client)
    wanted = [{"protocol": "udp", "port": port, "helper": "tftp"} for port in range(1, helpers + 1)]
    client.ask("POST", path, {"conntrack_helpers": wanted})
    return _cost(server, [partial(client.ask, "GET", path)] * times)


def _helpers_of_new_router(client: Asker) -> str:
    body = {"router": {"placements": [{"host": "bench"}]}}
    router = client.ask("POST", "/v2.0/routers", body)["router"]["id"]
    return f"/v2.0/routers/{router}/conntrack_helpers"


def _cost(server: Served, requests: Sequence[Request]) -> _Cost:
    """Send *requests* one after the other."""
    cost = _Cost()
    used_s = server.cpu_s()
    for request in requests:
        began_s = time.perf_counter()
        request()
        cost.laps_s.append(time.perf_counter() - began_s)
    cost.cpu_s = server.cpu_s() - used_s
    return cost
