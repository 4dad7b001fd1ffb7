"""SNMP: a manager behind the router tells an agent its address, in the payload of a request.

The helper expects nothing here; it rewrites the addresses in the payload as the router rewrites
those of the packet (RFC 2962). So what needs the helper is that the agent reads the address under
which it knows the manager, and not the one that the manager has on its side. Taken away, the same
flow goes on with its payload as it was sent.
The manager is net-snmp's snmpset and snmpget, the agent its snmpd, or both are ours.
Source: RFC 3416, sections 4.2.1 and 4.2.5; net/ipv4/netfilter/nf_nat_snmp_basic_main.c.
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
from ctherd.lab.exchanges.snmp_message import PLAYPEN, Message, Pdu, Variable, address, nothing
from ctherd.lab.rewriting import as_heard
from ctherd.lab.sockets import datagrams, holds
from ctherd.lab.topology import Station, Topology
from ctherd.model.catalog import Family, Protocol

PORT: Final = 161


@contextmanager
def session(client: Station, server: Station, port: int) -> Iterator[Session]:
    """Have a manager at *client*, and an agent at *server*; both are sockets of our own.

    Raises: OSError if that is not possible.
    """
    with (
        datagrams(server, str(server.v4), port) as agent,
        datagrams(client, str(client.v4)) as manager,
    ):
        manager.connect((str(server.v4), port))
        yield _Requests(client.v4, manager, agent)


class _Requests:
    """A manager and an agent, both by sockets of our own."""

    def __init__(self, own: IPv4Address, manager: socket.socket, agent: socket.socket) -> None:
        self._own, self._manager, self._agent = own, manager, agent
        self._requests = count(1)

    def exchange(self) -> str:
        """Set a variable of the agent to the manager's address."""
        return as_heard(*self._ask(Pdu.SET, address(PLAYPEN, self._own)))

    def alive(self) -> bool:
        """Tell whether the agent answers."""
        return holds(lambda: self._ask(Pdu.GET, nothing(PLAYPEN)))

    def _ask(self, pdu: Pdu, variable: Variable) -> tuple[list[str], str]:
        """Ask and be answered; return the addresses that the agent read, and whom it heard."""
        asked = Message(pdu, next(self._requests), [variable])
        self._manager.send(asked.encoded())
        received, (heard, port) = self._agent.recvfrom(2048)
        read = Message.of(received)
        self._agent.sendto(read._replace(pdu=Pdu.RESPONSE).encoded(), (heard, port))
        if Message.of(self._manager.recv(2048)).request != asked.request:
            raise OSError("the answer is to another request")
        return read.addresses(), heard


def _own(net: Topology) -> AbstractContextManager[Session]:
    return session(net.client, net.server, PORT)


def _net_snmp(net: Topology) -> AbstractContextManager[Session]:
    return net_snmp.requests(net.client, net.server, PORT, seen_as=net.router.v4)


_CASE: Final = Case(
    name="snmp request, IPv4, own agent",
    helper="snmp",
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
        name="snmp request, IPv4",
        software="snmpset, snmpget and snmpd",
        open=_net_snmp,
        needs=(net_snmp.SNMPSET, net_snmp.SNMPD),
    ),
    _CASE,
)
