"""NetBIOS name service: the router itself asks its network by broadcast who has a name.

A host that has it answers by unicast, from port 137. The hosts are Samba's nmbd, or ours; who asks
is ours, as nmblookup would ask from another port each time.
Source: RFC 1002; net/netfilter/nf_conntrack_netbios_ns.c.
"""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from ctherd.lab.case import Case, Session
from ctherd.lab.exchanges import broadcast, nmbd
from ctherd.lab.exchanges.netbios_names import PORT, answer, question, understood
from ctherd.lab.topology import Topology
from ctherd.model.catalog import Family, Protocol

DIALECT: Final = broadcast.Dialect(question, understood, answer_port=PORT)


def _own(net: Topology) -> AbstractContextManager[Session]:
    return broadcast.session(net.router, net.server, PORT, DIALECT, broadcast.own_hosts(answer))


def _samba(net: Topology) -> AbstractContextManager[Session]:
    return broadcast.session(net.router, net.server, PORT, DIALECT, nmbd.hosts)


_CASE: Final = Case(
    name="netbios-ns broadcast, IPv4, own hosts",
    helper="netbios-ns",
    l4=Protocol.UDP,
    port=PORT,
    family=Family.IPV4,
    software="own exchange",
    open=_own,
    own_sockets=True,
)

CASES: Final = (
    replace(
        _CASE,
        name="netbios-ns broadcast, IPv4",
        software="nmbd, who asks is ours",
        open=_samba,
        needs=(nmbd.NMBD,),
    ),
    _CASE,
)
