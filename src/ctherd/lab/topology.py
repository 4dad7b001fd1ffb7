"""Client, NAT router, server: three namespaces in a row, with a firewall that needs helpers.

```
 client                      router                        server
 192.0.2.2    ────────── inside    outside ──────────   198.51.100.2
 2001:db8:1::2            forwards, masquerades          2001:db8:2::2
```

The router masquerades IPv4, and for both families it lets new connections pass to the control
ports only, from the inside only; to itself it lets nothing come but answers. So a data connection
passes where a helper expected it, and nowhere else: in active and in passive mode alike.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self

from ctherd import process
from ctherd.lab.cleanup import namespaces
from ctherd.lab.namespace import Namespace
from ctherd.model.catalog import Family

FTP_PORT: Final = 21
TFTP_PORT: Final = 69

# Documentation prefixes (RFC 5737, RFC 3849): they exist nowhere else.
_CLIENT_V4, _CLIENT_V6 = IPv4Address("192.0.2.2"), IPv6Address("2001:db8:1::2")
_INSIDE_V4, _INSIDE_V6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8:1::1")
_OUTSIDE_V4, _OUTSIDE_V6 = IPv4Address("198.51.100.1"), IPv6Address("2001:db8:2::1")
_SERVER_V4, _SERVER_V6 = IPv4Address("198.51.100.2"), IPv6Address("2001:db8:2::2")

PREFIX_V4: Final = 24

_FIREWALL: Final = """
add table inet cthlab
delete table inet cthlab
table inet cthlab {{
  chain input {{
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname "lo" accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    {accepts}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    meta nfproto ipv4 oifname "outside" masquerade
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Station(Namespace):
    """A namespace with the addresses under which the others reach it."""

    v4: IPv4Address
    v6: IPv6Address

    def address(self, family: Family) -> str:
        """Return the address of *family*."""
        return str(self.v4 if family is Family.IPV4 else self.v6)


@dataclass(frozen=True, slots=True)
class Topology:
    """The three stations; the router's addresses are those on its outside."""

    client: Station
    router: Station
    server: Station
    tcp_ports: tuple[int, ...]
    udp_ports: tuple[int, ...]

    @classmethod
    @contextmanager
    def build(
        cls, *, tcp_ports: Sequence[int] = (FTP_PORT,), udp_ports: Sequence[int] = (TFTP_PORT,)
    ) -> Iterator[Self]:
        """Build the three, ready for traffic to the control ports; afterwards they are gone.

        Shape: names are ``cthlab-<6 hex>-client`` and so on, in ``/run/netns``.
        Raises: PrivilegeMissing unless we are root; ToolMissing; CommandFailed.
        """
        prefix = f"cthlab-{secrets.token_hex(3)}"
        net = cls(
            client=Station(f"{prefix}-client", _CLIENT_V4, _CLIENT_V6),
            router=Station(f"{prefix}-router", _OUTSIDE_V4, _OUTSIDE_V6),
            server=Station(f"{prefix}-server", _SERVER_V4, _SERVER_V6),
            tcp_ports=tuple(tcp_ports),
            udp_ports=tuple(udp_ports),
        )
        with namespaces([station.name for station in net.stations]):
            net._wire()
            net._address()
            net.install_firewall()
            yield net

    @property
    def stations(self) -> tuple[Station, Station, Station]:
        """All of them, from the client on."""
        return self.client, self.router, self.server

    def install_firewall(self) -> None:
        """Load the router's own ruleset, or load it again after somebody flushed it."""
        ports = (("tcp", self.tcp_ports), ("udp", self.udp_ports))
        accepts = (
            f'iifname "inside" oifname "outside" {l4} dport {port} ct state new accept'
            for l4, those in ports
            for port in those
        )
        self.router.nft(_FIREWALL.format(accepts="\n    ".join(accepts)))

    def _wire(self) -> None:
        for station in self.stations:
            # Duplicate address detection would leave addresses unusable for a second or two.
            station.set_sysctl("ipv6/conf/default/accept_dad", 0)
        self.router.set_sysctl("ipv4/ip_forward", 1)
        self.router.set_sysctl("ipv6/conf/all/forwarding", 1)
        _ip(
            self.router,
            f"link add inside type veth peer name eth0 netns {self.client.name}",
            f"link add outside type veth peer name eth0 netns {self.server.name}",
        )
        for station, links in zip(
            self.stations, (("eth0",), ("inside", "outside"), ("eth0",)), strict=True
        ):
            _ip(station, *(f"link set {link} up" for link in ("lo", *links)))

    def _address(self) -> None:
        _ip(
            self.router,
            f"address add {_INSIDE_V4}/{PREFIX_V4} dev inside",
            f"address add {_INSIDE_V6}/64 dev inside nodad",
            # A helper expects answers to a broadcast only where the address names one.
            f"address add {_OUTSIDE_V4}/{PREFIX_V4} broadcast + dev outside",
            f"address add {_OUTSIDE_V6}/64 dev outside nodad",
        )
        for station, gateway_v4, gateway_v6 in (
            (self.client, _INSIDE_V4, _INSIDE_V6),
            (self.server, _OUTSIDE_V4, _OUTSIDE_V6),
        ):
            _ip(
                station,
                f"address add {station.v4}/{PREFIX_V4} dev eth0",
                f"address add {station.v6}/64 dev eth0 nodad",
                # The server has none for IPv4: what is not masqueraded must not find back.
                *([f"route add 0.0.0.0/0 via {gateway_v4}"] if station is self.client else []),
                f"route add ::/0 via {gateway_v6}",
            )


def _ip(station: Station, *lines: str) -> None:
    process.run(["ip", "-n", station.name, "-batch", "-"], input="\n".join(lines))
