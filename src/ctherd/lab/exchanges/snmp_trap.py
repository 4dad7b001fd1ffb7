"""SNMP traps: an agent behind the router tells its address, in the payload of a trap.

The helper expects nothing here; it rewrites the address as the router rewrites that of the packet.
So what needs the helper is that the trap names whom it seems to come from. Only traps of SNMPv2
are sent: the helper drops those of SNMPv1 where addresses are translated.
The agent is net-snmp's snmptrap, heard by snmptrapd, or both are ours.
Source: RFC 3416, section 4.2.6; snmpTrapAddress: RFC 3584, section 3.1 (4);
net/ipv4/netfilter/nf_nat_snmp_basic_main.c.
"""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import count
from typing import Final

from ctherd.lab.case import Case, Session
from ctherd.lab.exchanges import net_snmp
from ctherd.lab.exchanges.snmp_message import (
    COLD_START,
    TRAP_ADDRESS,
    TRAP_NAME,
    UP_TIME,
    Message,
    Pdu,
    address,
    name,
    ticks,
)
from ctherd.lab.rewriting import as_heard
from ctherd.lab.sockets import datagrams, holds
from ctherd.lab.topology import Station, Topology
from ctherd.model.catalog import Family, Protocol

PORT: Final = 162


@contextmanager
def session(client: Station, server: Station, port: int) -> Iterator[Session]:
    """Have an agent at *client*, and who listens at *server*; both are sockets of our own.

    Raises: OSError if that is not possible.
    """
    with (
        datagrams(server, str(server.v4), port) as listener,
        datagrams(client, str(client.v4)) as agent,
    ):
        agent.connect((str(server.v4), port))
        yield _Traps(client.v4, agent, listener)


class _Traps:
    """An agent that sends traps, and who hears them."""

    def __init__(self, own: IPv4Address, agent: socket.socket, listener: socket.socket) -> None:
        self._own, self._agent, self._listener = own, agent, listener
        self._numbers = count(1)

    def exchange(self) -> str:
        """Send a trap that names the agent's address."""
        return as_heard(*self._trap())

    def alive(self) -> bool:
        """Tell whether a trap arrives, whatever it names."""
        return holds(self._trap)

    def _trap(self) -> tuple[list[str], str]:
        """Send a trap; return the addresses that it was read to name, and whom it came from."""
        sent = Message(
            Pdu.TRAP,
            next(self._numbers),
            [ticks(UP_TIME, 100), name(TRAP_NAME, COLD_START), address(TRAP_ADDRESS, self._own)],
        )
        self._agent.send(sent.encoded())
        received, (heard, _) = self._listener.recvfrom(2048)
        return Message.of(received).addresses(), heard


def _own(net: Topology) -> AbstractContextManager[Session]:
    return session(net.client, net.server, PORT)


def _net_snmp(net: Topology) -> AbstractContextManager[Session]:
    return net_snmp.traps(net.client, net.server, PORT)


_CASE: Final = Case(
    name="snmp trap, IPv4, own agent",
    helper="snmp_trap",
    l4=Protocol.UDP,
    port=PORT,
    family=Family.IPV4,
    software="own exchange",
    open=_own,
    expects=False,
)

CASES: Final = (
    replace(
        _CASE,
        name="snmp trap, IPv4",
        software="snmptrap and snmptrapd",
        open=_net_snmp,
        needs=(net_snmp.SNMPTRAP, net_snmp.SNMPTRAPD),
    ),
    _CASE,
)
