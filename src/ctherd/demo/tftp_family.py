"""Teach tftpy IPv6: it knows sockets as IPv4 only, so it gets to see a module that makes others.

For processes that do nothing but TFTP over one family; the state machine stays tftpy's.
"""

import socket
from importlib import import_module
from types import SimpleNamespace
from typing import Any


class _Socket6(socket.socket):
    """A UDP socket over IPv6 whose addresses are (host, port), as tftpy takes them apart."""

    def __init__(self, *_family_and_kind: object) -> None:
        super().__init__(socket.AF_INET6, socket.SOCK_DGRAM)

    def recvfrom(self, *size: Any) -> tuple[bytes, tuple[str, int]]:
        """Receive; the peer comes without flow and scope."""
        datagram, (host, port, _flow, _scope) = super().recvfrom(*size)
        return datagram, (host, port)

    def getsockname(self) -> tuple[str, int]:
        """Return our address without flow and scope."""
        host, port, _flow, _scope = super().getsockname()
        return host, port


def speak_ipv6() -> None:
    """Let tftpy in this process use IPv6, and only that."""
    sockets = SimpleNamespace(
        AF_INET=socket.AF_INET,
        SOCK_DGRAM=socket.SOCK_DGRAM,
        gethostbyname=lambda address: address,
        socket=_Socket6,
        timeout=TimeoutError,
    )
    # By their names: in the package, the classes hide the modules that they come from.
    for module in ("tftpy.TftpContexts", "tftpy.TftpServer"):
        vars(import_module(module))["socket"] = sockets
