"""An assignment: "on this router, protocol P port N gets helper H", and its identity."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple, NewType

from ctherd.errors import InvalidDeclaration
from ctherd.model.catalog import Family, Protocol, by_name, resolve

AssignmentId = NewType("AssignmentId", str)

Prefix = IPv4Network | IPv6Network
Destinations = tuple[Prefix, ...]
"""Server addresses for which an assignment holds; collapsed and sorted, IPv4 first. Empty: any."""

ANY: Destinations = ()

EVERYWHERE: Mapping[Family, Prefix] = MappingProxyType(
    {Family.IPV4: ip_network("0.0.0.0/0"), Family.IPV6: ip_network("::/0")}
)
"""The prefix that holds every address of a family."""


class OnRevoke(StrEnum):
    """What happens to the live flows of an assignment that is taken away."""

    DETACH = "detach"
    KILL = "kill"
    LEAVE = "leave"


class AssignmentKey(NamedTuple):
    """What makes two assignments of one router the same in the kernel's eyes.

    Shape: *helper* is the kernel's name, never an alias.
    """

    protocol: Protocol
    port: int
    helper: str

    def __str__(self) -> str:
        return f"{self.protocol}/{self.port} {self.helper}"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One declared helper assignment; every instance is one that the catalog allows.

    Shape: *helper* is the name as declared (an alias stays visible to its author); *port* is the
    original destination port, 1 to 65535; *destinations* are collapsed on construction;
    *on_revoke* is for the day it goes, *adopt_flows* for connections that are open when it comes.
    Raises: InvalidDeclaration, on construction.
    """

    id: AssignmentId
    helper: str
    protocol: Protocol
    port: int
    destinations: Destinations = ANY
    on_revoke: OnRevoke = OnRevoke.DETACH
    adopt_flows: bool = False
    key: AssignmentKey = field(init=False, compare=False)

    def __post_init__(self) -> None:
        kernel_helper = resolve(self.helper, self.protocol)
        if not 1 <= self.port <= 65535:
            raise InvalidDeclaration(f"port {self.port} is not between 1 and 65535")
        for prefix in self.destinations:
            if family_of(prefix) not in kernel_helper.families:
                raise InvalidDeclaration(
                    f"helper {self.helper} exists for IPv4 only, but a destination is {prefix}",
                    cure="remove the IPv6 destination",
                )
        object.__setattr__(self, "destinations", collapse(self.destinations))
        object.__setattr__(self, "key", AssignmentKey(self.protocol, self.port, kernel_helper.name))

    @property
    def families(self) -> tuple[Family, ...]:
        """The families in which this assignment can be true at all."""
        return families_of(self.key, self.destinations)


def family_of(prefix: Prefix) -> Family:
    """Return the family of *prefix*."""
    return Family.IPV4 if prefix.version == 4 else Family.IPV6


def families_of(key: AssignmentKey, destinations: Destinations) -> tuple[Family, ...]:
    """Return the families that the helper of *key* serves and *destinations* leave over."""
    served = by_name(key.helper).families
    if not destinations:
        return served
    wanted = {family_of(prefix) for prefix in destinations}
    return tuple(family for family in served if family in wanted)


def within(destinations: Destinations, families: Collection[Family]) -> Destinations:
    """Return as much of *destinations* as is in *families*, which are not all; () is nothing."""
    scope = destinations or tuple(EVERYWHERE.values())
    return tuple(prefix for prefix in scope if family_of(prefix) in families)


def collapse(prefixes: Iterable[Prefix]) -> Destinations:
    """Return *prefixes* without overlaps and with neighbours joined, IPv4 first, sorted."""
    given = tuple(prefixes)
    if not given:
        return ANY
    v4 = collapse_addresses(p for p in given if isinstance(p, IPv4Network))
    v6 = collapse_addresses(p for p in given if isinstance(p, IPv6Network))
    return (*v4, *v6)


def covers(wide: Destinations, narrow: Destinations) -> bool:
    """Tell whether every address of *narrow* is in *wide* too.

    Shape: both as collapse leaves them.
    """
    if not wide:
        return True
    if not narrow:
        return {prefix.version for prefix in wide if not prefix.prefixlen} == {4, 6}
    return all(any(_holds(outer, inner) for outer in wide) for inner in narrow)


def _holds(outer: Prefix, inner: Prefix) -> bool:
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)


def parse_prefix(text: str) -> Prefix:
    """Return the prefix or address that *text* spells.

    Raises: InvalidDeclaration if it is neither, or if bits are set beyond the prefix length.
    """
    try:
        if "%" in text:
            # ipaddress would keep the zone, and no live prefix would ever be equal to it.
            raise ValueError("a zone names an interface, not a destination")
        return ip_network(text)
    except ValueError as error:
        raise InvalidDeclaration(
            f"{text!r} is not an IP address or prefix: {error}",
            cure="write for example 203.0.113.0/24 or 2001:db8::1",
        ) from error


def overlap(one: Destinations, other: Destinations) -> bool:
    """Tell whether some address is in both; ANY overlaps with everything.

    Shape: both as collapse leaves them.
    """
    if not one or not other:
        return True
    # Within each side nothing overlaps, so what overlaps stands side by side when both are sorted.
    merged = sorted(
        (*one, *other), key=lambda prefix: (prefix.version, int(prefix.network_address))
    )
    return any(a.version == b.version and a.overlaps(b) for a, b in pairwise(merged))
