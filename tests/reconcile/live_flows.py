"""Flows that are open while assignments come and go, and what is done about them."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from ctherd.model.assignment import Assignment, OnRevoke
from ctherd.model.catalog import Protocol
from ctherd.model.document import Document, NetnsName
from ctherd.ports import Revoked, Settled
from ctherd.testing.conntrack.flows import Flow, Tuple
from tests.reconcile.machine import A, Machine, assignment

CLIENT, SERVER, OTHER = "192.0.2.1", "203.0.113.5", "198.51.100.7"
FTP_SCOPED: Final = assignment("ftp", Protocol.TCP, 21, "203.0.113.0/24")


def killing(given: Assignment) -> Assignment:
    return replace(given, on_revoke=OnRevoke.KILL)


def adopting(given: Assignment) -> Assignment:
    return replace(given, adopt_flows=True)


def direction(source: str, target: str, ports: tuple[int, int], protocol: Protocol) -> Tuple:
    return Tuple(ip_address(source).packed, ip_address(target).packed, protocol.number, *ports)


def flow(
    machine: Machine,
    helper: str | None = "ftp",
    *,
    server: str = SERVER,
    port: int = 21,
    protocol: Protocol = Protocol.TCP,
    netns: NetnsName = A,
    master: Flow | None = None,
    at: int = 0,
) -> Flow:
    """Track a flow to *port* of *server*; *at* tells it from others to the same place."""
    v6 = ":" in server
    client = "2001:db8::1" if v6 else CLIENT
    there = direction(client, server, (40000 + at, port), protocol)
    back = direction(server, client, (port, 40000 + at), protocol)
    made = Flow(10 if v6 else 2, there, back, helper=helper, master=master)
    return machine.kernel.netns(netns).conntrack.track(made)


def flows(machine: Machine, netns: NetnsName = A) -> list[Flow]:
    return machine.kernel.netns(netns).conntrack.flows


def only(outcomes: Sequence[Revoked]) -> Settled:
    """The one debt that was settled."""
    ((settled,),) = [each.settled for each in outcomes]
    return settled


def after(machine: Machine, *stages: Sequence[Document]) -> list[Revoked]:
    """Go through *stages* in one process; return what the last one revoked."""
    with machine.process() as running:
        for stage in stages:
            running.commit(*stage)
            revoked = running.revoke()
        assert running.revoke() == []
    return revoked
