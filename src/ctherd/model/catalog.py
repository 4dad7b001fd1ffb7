"""The helpers that kernels have, their aliases, and what an operator should know of each.

A helper is added here and nowhere else. The catalog is the only source of names that reach a
kernel: an assignment whose helper is not listed cannot be constructed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ctherd.errors import InvalidDeclaration


class Protocol(StrEnum):
    """A layer 4 protocol that the kernel has helpers for."""

    TCP = "tcp"
    UDP = "udp"

    @property
    def number(self) -> int:
        """The IANA protocol number."""
        return 6 if self is Protocol.TCP else 17


class Family(StrEnum):
    """A layer 3 protocol family."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


class Risk(StrEnum):
    """How much a helper that parses attacker-controlled payload may open."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


BOTH: Final = (Family.IPV4, Family.IPV6)
V4_ONLY: Final = (Family.IPV4,)


@dataclass(frozen=True, slots=True)
class Helper:
    """One conntrack helper as the kernel registers it.

    Shape: *name* is the kernel's own, case-sensitive name; *usual_ports* holds the ports that the
    protocol's standard names, most common first; *module* and *nat_module* are the kernel modules
    that hold the helper and its address translation ("" where it needs none) on kernels where
    these are modules. The kernel loads the first by itself, but not the second; *lowest_port* is
    the lowest to which it lets in what it expects, if nobody says otherwise; *hands_on* are helpers
    that it gives to connections which it expects, and which expect further ones.
    Source: net/netfilter/nf_conntrack_*.c; accepted protocols and families were measured by
    creating the objects on Linux 6.18.
    """

    name: str
    protocols: tuple[Protocol, ...]
    families: tuple[Family, ...]
    usual_ports: tuple[int, ...]
    risk: Risk
    module: str
    nat_module: str = ""
    remark: str = ""
    lowest_port: int = 1024
    hands_on: tuple[str, ...] = ()


_TCP = (Protocol.TCP,)
_UDP = (Protocol.UDP,)

HELPERS: Final[tuple[Helper, ...]] = (
    Helper(
        "ftp",
        _TCP,
        BOTH,
        (21,),
        Risk.MEDIUM,
        "nf_conntrack_ftp",
        "nf_nat_ftp",
        remark="port 990 is TLS: cannot work",
    ),
    Helper("tftp", _UDP, BOTH, (69,), Risk.LOW, "nf_conntrack_tftp", "nf_nat_tftp"),
    Helper(
        "sip",
        (Protocol.UDP, Protocol.TCP),
        BOTH,
        (5060,),
        Risk.HIGH,
        "nf_conntrack_sip",
        "nf_nat_sip",
        remark="rewrites SDP; over tcp Via and Contact stay; port 5061 is TLS: cannot work",
    ),
    Helper(
        "Q.931",
        _TCP,
        BOTH,
        (1720,),
        Risk.HIGH,
        "nf_conntrack_h323",
        "nf_nat_h323",
        remark="the tcp half of h323",
        hands_on=("H.245",),
    ),
    Helper(
        "RAS",
        _UDP,
        BOTH,
        (1719,),
        Risk.HIGH,
        "nf_conntrack_h323",
        "nf_nat_h323",
        remark="the udp half of h323",
        hands_on=("Q.931", "H.245"),
    ),
    Helper("amanda", _UDP, BOTH, (10080,), Risk.LOW, "nf_conntrack_amanda", "nf_nat_amanda"),
    Helper("sane", _TCP, BOTH, (6566,), Risk.LOW, "nf_conntrack_sane"),
    Helper("irc", _TCP, V4_ONLY, (6667,), Risk.HIGH, "nf_conntrack_irc", "nf_nat_irc"),
    Helper(
        "pptp",
        _TCP,
        V4_ONLY,
        (1723,),
        Risk.HIGH,
        "nf_conntrack_pptp",
        "nf_nat_pptp",
        remark="creates GRE flows",
    ),
    Helper(
        "snmp",
        _UDP,
        V4_ONLY,
        (161,),
        Risk.MEDIUM,
        "nf_conntrack_snmp",
        "nf_nat_snmp_basic",
        remark="on a router: rewrites addresses in forwarded payload under NAT; "
        "broadcast replies only for the router's own sockets",
    ),
    Helper(
        "snmp_trap",
        _UDP,
        V4_ONLY,
        (162,),
        Risk.MEDIUM,
        "nf_conntrack_snmp",
        "nf_nat_snmp_basic",
        remark="on a router: SNMPv1 traps are dropped under NAT",
    ),
    Helper(
        "netbios-ns",
        _UDP,
        V4_ONLY,
        (137,),
        Risk.LOW,
        "nf_conntrack_netbios_ns",
        lowest_port=137,
        remark="only for sockets of the namespace itself; nothing for forwarded traffic",
    ),
)

# What people call h323 is two kernel helpers, told apart by the protocol.
ALIASES: Final[dict[tuple[str, Protocol], str]] = {
    ("h323", Protocol.TCP): "Q.931",
    ("h323", Protocol.UDP): "RAS",
}

# Ports whose control channel is encrypted: no helper can read it, whoever assigns it.
TLS_PORTS: Final[dict[int, str]] = {990: "FTPS", 5061: "SIP over TLS", 6697: "IRC over TLS"}

_BY_NAME: Final[dict[str, Helper]] = {helper.name: helper for helper in HELPERS}


def names() -> Iterator[str]:
    """Yield every name that a declaration may use: the kernel's own, then the aliases."""
    yield from _BY_NAME
    yield from dict.fromkeys(alias for alias, _ in ALIASES)


def by_name(kernel_name: str) -> Helper:
    """Return the helper that the kernel calls *kernel_name*.

    Raises: KeyError if the catalog does not list it (the caller resolved no name: its bug).
    """
    return _BY_NAME[kernel_name]


def protocols_of(name: str) -> tuple[Protocol, ...]:
    """Return the protocols that *name*, an alias or the kernel's own, speaks; empty: unknown."""
    found = _BY_NAME.get(name)
    return found.protocols if found else tuple(each for alias, each in ALIASES if alias == name)


def resolve(name: str, protocol: Protocol) -> Helper:
    """Return the kernel helper that *name* means on *protocol*.

    Raises: InvalidDeclaration, naming the alternatives, for an unknown name or a protocol that
    the helper does not speak.
    """
    found = _BY_NAME.get(ALIASES.get((name, protocol), name))
    if found is None:
        raise InvalidDeclaration(
            f"there is no conntrack helper {name!r}", cure=f"known are {', '.join(names())}"
        )
    if protocol not in found.protocols:
        raise InvalidDeclaration(
            f"helper {name} does not speak {protocol}",
            cure=f"it speaks {' and '.join(found.protocols)}",
        )
    return found
