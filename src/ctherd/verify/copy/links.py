"""The interfaces of the copy: named and numbered as the router's, and every one of them plain.

Each is one end of a veth pair. If a probe will use it, the other end is in a neighbourhood: a
namespace that plays whoever is beyond it. The other ends of all others are where nobody is.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from ctherd.lab.namespace import Namespace
from ctherd.verify.copy.batch import ip_batch
from ctherd.verify.copy.interfaces import LOOPBACK, Assigned, Link
from ctherd.verify.copy.missing import Missing

BEYOND: Final = "eth0"
"""What the interface of a neighbourhood is called."""

# What is no more than an interface to the rules of its router.
_PLAIN: Final = frozenset(
    ("", "veth", "dummy", "vlan", "macvlan", "ipvlan", "tun", "openvswitch", "ppp", "wireguard")
)
_MADE_BY_THE_KERNEL: Final = frozenset(
    ("tunl0", "ip6tnl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0")
)


def make_links(
    netns_fd: int,
    links: Collection[Link],
    beyond: Mapping[str, Namespace],
    nowhere: Namespace,
    missing: Missing,
) -> None:
    """Make *links* in the copy, down and without addresses; *beyond* has the neighbourhoods.

    Raises: CtherdError.
    """
    made = [each for each in links if not _comes_by_itself(each)]
    lines = [line for each in made for line in _made(each, beyond.get(each.name), nowhere)]
    for refused in ip_batch(netns_fd, lines, may_exist=False):
        missing.add(f"interface: {refused.line}: {refused.words}")
    with nowhere.opened() as nowhere_fd:
        others = [each for each in made if each.name not in beyond]
        ip_batch(nowhere_fd, [f"link set {_other_end(each)} up" for each in others])
    for each in links:
        for words in _untrue(each):
            missing.add(words)


def bring_up(netns_fd: int, links: Collection[Link], missing: Missing) -> None:
    """Give *links* their addresses, and set those up that are up.

    Raises: CtherdError.
    """
    lines = ["link set lo up"] if any(e.name == LOOPBACK and e.up for e in links) else []
    for link in links:
        lines += [_address(link, each) for each in link.addresses if not _by_itself(link, each)]
        if link.up and link.name != LOOPBACK:
            lines.append(f"link set {link.name} up")
    for refused in ip_batch(netns_fd, lines):
        missing.add(f"address: {refused.line}: {refused.words}")


def _comes_by_itself(link: Link) -> bool:
    return link.name == LOOPBACK or link.name in _MADE_BY_THE_KERNEL


def _other_end(link: Link) -> str:
    return f"end{link.index}"


def _made(link: Link, beyond: Namespace | None, nowhere: Namespace) -> Iterator[str]:
    mac = f" address {link.mac}" if link.mac else ""
    head = f"link add name {link.name} index {link.index} mtu {link.mtu}{mac}"
    if beyond is None:
        yield f"{head} type veth peer name {_other_end(link)} netns {nowhere.name}"
    else:
        yield f"{head} type veth peer name {BEYOND} netns {beyond.name}"
    yield f"link set {link.name} addrgenmode none"


def _untrue(link: Link) -> Iterator[str]:
    if link.kind not in _PLAIN and link.name not in _MADE_BY_THE_KERNEL:
        yield f"interface {link.name} is a {link.kind}, and a plain one in the copy"
    if link.master:
        yield f"interface {link.name} belongs to {link.master}, and to nothing in the copy"
    if link.has_program:
        yield f"interface {link.name} has an XDP program"


def _by_itself(link: Link, address: Assigned) -> bool:
    """Tell whether the kernel gives loopback that address."""
    return link.name == LOOPBACK and address.scope == "host"


def _address(link: Link, address: Assigned) -> str:
    local = f"{address.interface.ip} peer {address.peer}" if address.peer else ""
    prefix = address.interface.network.prefixlen
    words = f"address add {local or address.interface.ip}/{prefix} dev {link.name}"
    nodad = " nodad" if address.interface.version == 6 else ""
    broadcast = f" broadcast {address.broadcast}" if address.broadcast else ""
    return f"{words}{broadcast} scope {address.scope}{nodad}"
