"""Which flow makes which helper show itself.

A helper without one is verified by the kernel's state alone.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final

from ctherd.lab.case import Session
from ctherd.lab.exchanges import amanda, irc, pptp, q931, ras, sane, sip, snmp, snmp_trap
from ctherd.lab.exchanges.irc_relay import relay
from ctherd.lab.exchanges.sane_server import own_server
from ctherd.verify.flows import minimal
from ctherd.verify.flows.way import Flow, Way


def _one_exchange(opened: Callable[[Way], AbstractContextManager[Session]]) -> Flow:
    def flow(way: Way) -> str:
        with opened(way) as session:
            return session.exchange()

    return flow


FLOWS: Final[Mapping[str, Flow]] = {
    "ftp": minimal.ftp,
    "tftp": minimal.tftp,
    "netbios-ns": minimal.netbios_ns,
    "amanda": _one_exchange(
        lambda way: amanda.session(way.client, way.server, way.family, way.port)
    ),
    "irc": _one_exchange(lambda way: irc.session(way.client, way.server, way.port, relay)),
    "pptp": _one_exchange(lambda way: pptp.session(way.client, way.server, way.port)),
    "sane": _one_exchange(
        lambda way: sane.session(way.client, way.server, way.family, way.port, own_server)
    ),
    "sip": _one_exchange(
        lambda way: sip.session(way.client, way.server, way.family, way.port, way.protocol)
    ),
    "Q.931": _one_exchange(lambda way: q931.session(way.client, way.server, way.family, way.port)),
    "RAS": _one_exchange(lambda way: ras.session(way.client, way.server, way.family, way.port)),
    "snmp": _one_exchange(lambda way: snmp.session(way.client, way.server, way.port)),
    "snmp_trap": _one_exchange(lambda way: snmp_trap.session(way.client, way.server, way.port)),
}

REWRITES: Final = frozenset(("snmp", "snmp_trap"))
"""Helpers that expect nothing, and rewrite what the flow itself carries."""

OWN_SOCKETS: Final = frozenset(("netbios-ns",))
"""Helpers that serve sockets of the router itself."""
