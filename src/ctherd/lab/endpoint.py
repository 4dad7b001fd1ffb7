"""An address and a port, as protocols of voice tell them to each other in what they say."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import socket
from typing import Any, NamedTuple, Self


class Endpoint(NamedTuple):
    """An address and a port."""

    host: IPv4Address | IPv6Address
    port: int

    @classmethod
    def of(cls, name: Any) -> Self:
        """Return what ``getsockname`` and the like call *name*."""
        return cls(ip_address(name[0]), name[1])

    @classmethod
    def own(cls, bound: socket) -> Self:
        """Return where *bound* is bound to."""
        return cls.of(bound.getsockname())

    @property
    def name(self) -> tuple[str, int]:
        """What a socket wants to be told."""
        return str(self.host), self.port

    def __str__(self) -> str:
        return f"{bare(self.host)}:{self.port}"


def bare(host: IPv4Address | IPv6Address) -> str:
    """Return *host* as a URI has it (RFC 3986 §3.2.2)."""
    return f"[{host}]" if host.version == 6 else str(host)
