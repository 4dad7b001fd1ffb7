"""The interfaces of a router, with their addresses, as ``ip`` lists them; and what they are."""

import json
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_interface,
)
from typing import Any, Final

from ctherd import process
from ctherd.model.catalog import Family

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface

LOOPBACK: Final = "lo"
_AF: Final = {Family.IPV4: "inet", Family.IPV6: "inet6"}


@dataclass(frozen=True, slots=True)
class Assigned:
    """One address of a link.

    Shape: *peer* is the other end of a point-to-point link, or ""; *broadcast* "" where there is
    none.
    """

    interface: Interface
    peer: str
    scope: str
    broadcast: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """One interface. Shape: *kind* is what ``ip`` calls it, "" for hardware."""

    name: str
    index: int
    mtu: int
    mac: str
    up: bool
    kind: str
    master: str
    has_program: bool
    addresses: tuple[Assigned, ...] = ()

    def of(self, family: Family) -> tuple[Interface, ...]:
        """Return its addresses of *family* that reach further than the link."""
        version = 4 if family is Family.IPV4 else 6
        return tuple(
            each.interface
            for each in self.addresses
            if each.interface.version == version and each.scope == "global"
        )


def read_links(netns_fd: int) -> list[Link]:
    """Read all links of the netns.

    Raises: CtherdError.
    """
    details = _listed(netns_fd, "-d", "link", "show")
    addresses = {each["ifname"]: each for each in _listed(netns_fd, "address", "show")}
    return [_link(each, addresses.get(each["ifname"], {})) for each in details]


def _listed(netns_fd: int, *words: str) -> list[dict[str, Any]]:
    said = process.run(["ip", "-j", *words], netns_fd=netns_fd).stdout
    # An empty list of ours has an empty object in the place of what is filtered out.
    return [each for each in json.loads(said or "[]") if each]


def _link(given: dict[str, Any], addressed: dict[str, Any]) -> Link:
    return Link(
        name=given["ifname"],
        index=given["ifindex"],
        mtu=given["mtu"],
        mac=given.get("address", "") if given.get("link_type") == "ether" else "",
        up="UP" in given.get("flags", ()),
        kind=given.get("linkinfo", {}).get("info_kind", ""),
        master=given.get("master", ""),
        has_program="xdp" in given,
        addresses=tuple(_address(each) for each in addressed.get("addr_info", ())),
    )


def _address(given: dict[str, Any]) -> Assigned:
    interface = ip_interface(f"{given['local']}/{given['prefixlen']}")
    return Assigned(interface, given.get("address", ""), given["scope"], given.get("broadcast", ""))
