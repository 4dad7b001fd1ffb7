"""What call signalling and registration have in common: versions, addresses, terminals.

Components and alternatives stand in the order of the recommendation, as far as any of them is used.
Source: ITU-T H.225.0 (version 4, 11/2000), annex H.
"""

from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from ctherd.lab.endpoint import Endpoint
from ctherd.lab.h323.per import (
    Boolean,
    Choice,
    Integer,
    Octets,
    Sequence,
    always,
    maybe,
)

VERSION: Final = bytes((0, 8, 0x91, 0x4A, 0, 4))
"""ProtocolIdentifier: itu-t(0) recommendation(0) h(8) 2250 version(0) 4, in BER."""

TERMINAL: Final[dict[str, Any]] = {"terminal": {}, "mc": False, "undefinedNode": False}
"""An EndpointType that says no more than that it is a terminal."""

_PORT: Final = Integer(0, 65535)

TRANSPORT_ADDRESS: Final = Choice(
    {
        "ipAddress": Sequence((always("ip", Octets(4)), always("port", _PORT)), extensible=False),
        "ipSourceRoute": None,
        "ipxAddress": None,
        "ip6Address": Sequence((always("ip", Octets(16)), always("port", _PORT))),
        "netBios": None,
        "nsap": None,
        "nonStandardAddress": None,
    }
)

ENDPOINT_TYPE: Final = Sequence(
    (
        maybe("nonStandardData"),
        maybe("vendor"),
        maybe("gatekeeper"),
        maybe("gateway"),
        maybe("mcu"),
        maybe("terminal", Sequence((maybe("nonStandardData"),))),
        always("mc", Boolean()),
        always("undefinedNode", Boolean()),
    )
)


def transport_address(endpoint: Endpoint) -> tuple[str, dict[str, Any]]:
    """Return *endpoint* as the value of a TransportAddress."""
    name = "ipAddress" if endpoint.host.version == 4 else "ip6Address"
    return name, {"ip": endpoint.host.packed, "port": endpoint.port}


def endpoint(address: tuple[str, dict[str, Any]]) -> Endpoint:
    """Return what a TransportAddress names."""
    name, value = address
    host = (IPv4Address if name == "ipAddress" else IPv6Address)(value["ip"])
    return Endpoint(host, value["port"])
