"""Which way a probe goes: who asks, who answers, and by which interfaces of the router.

```
 destinations given        an address among them; what the router routes it by is the server's side
 any, with default route   a documentation address; the server is beyond the default route
 any, by rules only        the same, for a client from which routing rules lead there (DVR)
 any, without              an address beside the router's own, on its last interface

 server beyond the default route    the client is beyond another interface: inside
 server elsewhere                   the client is beyond the default route: outside
 no other interface                 both are beyond the same one
```

Whatever was chosen without being known is said as an assumption.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from itertools import islice
from typing import Any, Final, NamedTuple

from ctherd import process
from ctherd.errors import CtherdError
from ctherd.model.assignment import Destinations, Prefix, family_of
from ctherd.model.catalog import Family
from ctherd.model.safe_scope import SafeScope
from ctherd.verify.copy.interfaces import LOOPBACK, Address, Link

# For documentation and for benchmarks (RFC 5737, 2544, 3849): they exist nowhere else.
_ABROAD: Final = {
    Family.IPV4: ("203.0.113.0/24", "198.18.0.0/15", "192.0.2.0/24"),
    Family.IPV6: ("2001:db8:ffff::/64", "2001:db8:fffe::/64"),
}
_SERVER: Final = 77
_CLIENT: Final = 177
_MOST_WAYS: Final = 4
_TRIED: Final = 64
"""So many addresses of a prefix are looked at for one that nobody has."""


class NoWay(CtherdError):
    """No probe can be sent through this router; says why."""

    code = "no-way"


class Hop(NamedTuple):
    """Where the router sends packets to an address. Shape: *gateway* None: it is on the link."""

    interface: str
    gateway: Address | None
    source: Address | None


@dataclass(frozen=True, slots=True)
class Side:
    """Somebody beyond an interface. Shape: *router* is the address of the router towards him."""

    interface: str
    address: Address
    gateway: Address | None
    router: Address


@dataclass(frozen=True, slots=True)
class Sides:
    """Client and server, and what was assumed to find them."""

    client: Side
    server: Side
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Map:
    """The router's links, and what it answers when it is asked for a route."""

    netns_fd: int
    links: Sequence[Link]
    scope: SafeScope

    def ways(self, family: Family, destinations: Destinations) -> tuple[Sides, ...]:
        """Choose clients and servers for a probe to one of *destinations*, likeliest first.

        Shape: at least one, and not many: each that the router's firewall stops takes its time.
        Raises: NoWay.
        """
        if _anywhere(family, destinations) and (by_rules := self._by_rules(family)):
            return by_rules[:_MOST_WAYS]
        found: list[Sides] = []
        for address, assumed in self._servers(family, destinations):
            server = self._side(family, self._hop(address), address)
            for client, more in self._clients(family, server):
                found.append(
                    Sides(client, self._as_from(client, server, family), (*assumed, *more))
                )
        if not found:
            raise NoWay(f"no interface has a {family} address that a client could be beside")
        return tuple(found[:_MOST_WAYS])

    def _as_from(self, client: Side, server: Side, family: Family) -> Side:
        """Return *server* where the router sends what comes from *client*: rules may tell."""
        with suppress(NoWay):
            found = self._side(family, self._hop(server.address, client), server.address)
            # Rules that send it back where it came from are another matter: see _by_rules.
            return found if found.interface != client.interface else server
        return server

    def _by_rules(self, family: Family) -> tuple[Sides, ...]:
        """Find ways abroad where no route leads there, but rules do for some client."""
        if self._default(family) is not None:
            return ()
        address = self._abroad(family, _SERVER)
        found: list[Sides] = []
        for link in self._inhabited(family):
            with suppress(NoWay):
                client = self._neighbour(family, link)
                server = self._side(family, self._hop(address, client), address)
                words = f"no {family} default route, but rules lead abroad from beside {link.name}"
                found.append(Sides(client, server, (words,)))
        # One that does not turn back is the better one.
        return tuple(sorted(found, key=lambda e: e.client.interface == e.server.interface))

    def _servers(
        self, family: Family, destinations: Destinations
    ) -> Iterator[tuple[Address, tuple[str, ...]]]:
        """Yield where the server could be, and what is assumed then."""
        if not _anywhere(family, destinations):
            mine = [each for each in destinations if family_of(each) is family]
            yield self._free(mine[0]), ()
        elif self._default(family):
            yield self._abroad(family, _SERVER), ()
        else:
            for link in reversed(self._inhabited(family)):
                words = f"no {family} default route: the server is taken to be beyond {link.name}"
                yield self._free(link.of(family)[0].network), (words,)

    def _clients(self, family: Family, server: Side) -> Iterator[tuple[Side, tuple[str, ...]]]:
        """Yield where the client could be, and what is assumed then."""
        outside = self._default(family)
        if outside is not None and server.interface != outside.interface:
            stranger = self._abroad(family, _CLIENT)
            yield self._side(family, self._hop(stranger), stranger), ()
        links = [each for each in self._inhabited(family) if self._may_begin(each.name)]
        others = [each for each in links if each.name != server.interface]
        for link in others:
            with suppress(NoWay):
                yield self._neighbour(family, link, server), ()
        if not others and links:
            words = f"{links[0].name} is the only interface: client and server are both beyond it"
            yield self._neighbour(family, links[0], server), (words,)

    def _neighbour(self, family: Family, link: Link, server: Side | None = None) -> Side:
        """Return a client beside *link* itself."""
        others = () if server is None else (server.address, server.gateway)
        for each in link.of(family):
            if each.network.num_addresses > 2:
                address = self._free(each.network, besides=others)
                return Side(link.name, address, None, each.ip)
        raise NoWay(f"the networks of {link.name} have no room for a client")

    def _side(self, family: Family, hop: Hop, address: Address) -> Side:
        link = next((each for each in self.links if each.name == hop.interface), None)
        own = [each.ip for each in link.of(family)] if link is not None else []
        router = own[0] if own else hop.source
        if hop.gateway is not None and link is not None:
            on_link = (each.ip for each in link.of(family) if hop.gateway in each.network)
            router = next(on_link, router)
        if router is None:
            raise NoWay(f"{hop.interface} has no {family} address")
        return Side(hop.interface, address, hop.gateway, router)

    def _may_begin(self, interface: str) -> bool:
        return not any(fnmatchcase(interface, each) for each in self.scope.not_from)

    def _inhabited(self, family: Family) -> list[Link]:
        return [e for e in self.links if e.up and e.name != LOOPBACK and e.of(family)]

    def _free(self, prefix: Prefix, besides: Sequence[Address | None] = ()) -> Address:
        """Return an address of *prefix* that the router does not have itself."""
        taken = {each.interface.ip for link in self.links for each in link.addresses}
        taken |= {each for each in besides if each is not None}
        tried = list(islice(_hosts(prefix), _TRIED))
        # The first ones are where gateways are.
        for address in reversed(tried):
            if address not in taken:
                return address
        raise NoWay(f"every address of {prefix} is the router's own: who answers there is unknown")

    # -- routes ----------------------------------------------------------------------------------

    def _abroad(self, family: Family, number: int) -> Address:
        """Return an address in no network that the router is in."""
        near = [each.network for link in self.links for each in link.of(family)]
        for prefix in map(ip_network, _ABROAD[family]):
            if not any(each.overlaps(prefix) for each in near if each.version == prefix.version):
                return prefix[number]
        raise NoWay("the router is in every network that could stand for a distant one")

    def _default(self, family: Family) -> Hop | None:
        try:
            return self._hop(self._abroad(family, _SERVER))
        except NoWay:
            return None

    def _hop(self, address: Address, client: Side | None = None) -> Hop:
        version = "-6" if address.version == 6 else "-4"
        argv = ["ip", "-j", version, "route", "get", str(address)]
        if client is not None:
            argv += ["from", str(client.address), "iif", client.interface]
        done = process.run(argv, netns_fd=self.netns_fd, check=False)
        found: list[dict[str, Any]] = json.loads(done.stdout or "[]") if not done.returncode else []
        if not found or "dev" not in found[0]:
            raise NoWay(f"the router has no route to {address}: {done.stderr.strip()}".strip(": "))
        if found[0].get("type") == "local" or found[0]["dev"] == LOOPBACK:
            raise NoWay(f"{address} is the router's own: who answers there is not known")
        return Hop(
            found[0]["dev"], _address(found[0].get("gateway")), _address(found[0].get("prefsrc"))
        )


def _anywhere(family: Family, destinations: Destinations) -> bool:
    return not any(family_of(each) is family and each.prefixlen for each in destinations)


def _address(text: str | None) -> Address | None:
    return None if text is None else ip_address(text)


def _hosts(prefix: Prefix) -> Iterator[Address]:
    if prefix.num_addresses <= 2:
        return iter(prefix)
    return iter(islice(prefix, 1, min(prefix.num_addresses - 1, _TRIED + 1)))
