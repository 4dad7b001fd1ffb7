"""SNMP by broadcast: the router itself asks every agent of its network.

An agent answers by unicast, from port 161. The exchange is our own.
Source: net/netfilter/nf_conntrack_snmp.c; RFC 3416, sections 4.2.1 and 4.2.4.
"""

from contextlib import AbstractContextManager
from ipaddress import IPv4Address
from typing import Final

from ctherd.lab.case import Case, Session
from ctherd.lab.exchanges import broadcast
from ctherd.lab.exchanges.snmp_message import PLAYPEN, Message, Pdu, address, nothing
from ctherd.lab.topology import Topology
from ctherd.model.catalog import Family, Protocol

PORT: Final = 161


def question(number: int) -> bytes:
    """Return a request for a variable that every agent has."""
    return Message(Pdu.GET, number, [nothing(PLAYPEN)]).encoded()


def answer(asked: bytes, host: IPv4Address) -> bytes:
    """Return the response of *host*, whose variable has its address."""
    variables = [address(PLAYPEN, host)]
    return Message.of(asked)._replace(pdu=Pdu.RESPONSE, variables=variables).encoded()


def understood(answered: bytes) -> str:
    """Say what the variable is."""
    return f"{PLAYPEN} is {', '.join(Message.of(answered).addresses())}"


DIALECT: Final = broadcast.Dialect(question, understood, answer_port=PORT)


def _open(net: Topology) -> AbstractContextManager[Session]:
    return broadcast.session(net.router, net.server, PORT, DIALECT, broadcast.own_hosts(answer))


CASES: Final = (
    Case(
        name="snmp broadcast, IPv4",
        helper="snmp",
        l4=Protocol.UDP,
        port=PORT,
        family=Family.IPV4,
        software="own exchange",
        open=_open,
        own_sockets=True,
    ),
)
