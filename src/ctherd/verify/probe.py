"""One probe: a flow through the copy, and what the copy's conntrack says of it.

```
 the flow came through       expected, or payload rewritten    proven
                             another helper, none, untracked   failed
                             right helper, nothing expected    failed
 it did not                                                    nobody can tell: NoFlow
```
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from ctherd.errors import CtherdError
from ctherd.lab.case import ExchangeFailed
from ctherd.lab.conntrack import Conntrack
from ctherd.lab.namespace import Namespace
from ctherd.lab.topology import Station
from ctherd.model.assignment import AssignmentKey
from ctherd.model.evidence import Result
from ctherd.verify.copy.interfaces import Link
from ctherd.verify.copy.neighbourhood import Neighbourhood
from ctherd.verify.copy.router import Copy
from ctherd.verify.flows.catalog import FLOWS, REWRITES
from ctherd.verify.flows.way import NoFlow, Way
from ctherd.verify.in_words import in_words
from ctherd.verify.sides import Side, Sides
from ctherd.verify.target import Question

_NOBODY_V4: Final = IPv4Address(0)
_NOBODY_V6: Final = IPv6Address(0)


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a probe."""

    result: Result
    words: str


def probe(copy: Copy, sides: Sides | None, question: Question, links: list[Link]) -> Seen:
    """Send the flow of *question* from client to server, and say what conntrack made of it.

    Shape: *sides* None: the router itself asks.
    Raises: NoFlow.
    """
    key = question.key
    try:
        way = _way(copy, sides, question, links)
        with Conntrack.of(copy.router) as conntrack:
            conntrack.forget()
            said, arrived = _sent(key, way)
            seen = _judged(conntrack, key, said, arrived)
    except (OSError, CtherdError) as error:
        why = _not_forwarding(copy, sides) or str(error)
        raise NoFlow(f"no flow came through the copy: {why}") from error
    return Seen(seen.result, f"{seen.words}; {_route(sides)}")


def _not_forwarding(copy: Copy, sides: Sides | None) -> str:
    """Say which setting keeps every flow from coming through, "" if none does."""
    if sides is None:
        return ""
    # IPv4 asks the interface that a packet came by, IPv6 the one for all.
    name = (
        f"ipv4/conf/{sides.client.interface}/forwarding"
        if isinstance(sides.client.address, IPv4Address)
        else "ipv6/conf/all/forwarding"
    )
    try:
        forwards = copy.router.sysctl(name) != "0"
    except (OSError, CtherdError):
        return ""
    return "" if forwards else f"the router does not forward (net.{name.replace('/', '.')} is 0)"


def _sent(key: AssignmentKey, way: Way) -> tuple[str, bool]:
    try:
        return FLOWS[key.helper](way), True
    except ExchangeFailed as failed:
        return failed.what, False


def _judged(conntrack: Conntrack, key: AssignmentKey, said: str, arrived: bool) -> Seen:
    expected = conntrack.announced(key.helper)
    if expected:
        less = "" if arrived else f", but the copy lets nothing through: {said}"
        return Seen(Result.PROVEN, f"helper {key.helper} {in_words(expected)}{less}")
    flows = conntrack.flows_to(key.protocol, key.port)
    helpers = {each.helper for each in flows}
    if not flows:
        return Seen(Result.FAILED, "its flow is not tracked, so that no helper sees it")
    if key.helper not in helpers:
        other = ", ".join(sorted(helpers - {""}))
        words = f"its flow got helper {other} instead" if other else "its flow got no helper"
        return Seen(Result.FAILED, words)
    if key.helper not in REWRITES:
        return Seen(Result.FAILED, f"its flow got helper {key.helper}, which expected nothing")
    return Seen(Result.PROVEN if arrived else Result.FAILED, f"helper {key.helper}: {said}")


def _route(sides: Sides | None) -> str:
    if sides is None:
        return "asked by the router itself"
    assumed = f" (assumed: {'; '.join(sides.assumed)})" if sides.assumed else ""
    return (
        f"flow from {sides.client.address} beyond {sides.client.interface} "
        f"to {sides.server.address} beyond {sides.server.interface}{assumed}"
    )


def _way(copy: Copy, sides: Sides | None, question: Question, links: list[Link]) -> Way:
    key, family, _ = question
    router = _plain(copy.router)
    if sides is None:
        return Way(router, router, router, family, key.protocol, key.port, _broadcast(links))
    server = copy.beyond[sides.server.interface]
    client = copy.beyond[sides.client.interface]
    if sides.client.interface == sides.server.interface:
        client = copy.beside(sides.client.interface)
    return Way(
        _station(client, sides.client),
        router,
        _station(server, sides.server),
        family,
        key.protocol,
        key.port,
    )


def _station(neighbourhood: Neighbourhood, side: Side) -> Station:
    neighbourhood.live_at(side.address, side.router)
    if side.gateway is not None:
        neighbourhood.be_gateway(side.gateway)
    address = side.address
    if isinstance(address, IPv4Address):
        return Station(neighbourhood.namespace.name, address, _NOBODY_V6)
    return Station(neighbourhood.namespace.name, _NOBODY_V4, address)


def _plain(namespace: Namespace) -> Station:
    return Station(namespace.name, _NOBODY_V4, _NOBODY_V6)


def _broadcast(links: list[Link]) -> str:
    """Return a broadcast address of the router, "" if it has none."""
    found = (each.broadcast for link in links if link.up for each in link.addresses)
    return next((each for each in found if each and not ip_address(each).is_loopback), "")
