"""A tunnel of PPTP that is open while its helper is taken away."""

from dataclasses import replace

import pytest

from ctherd.lab.case import ExchangeFailed
from ctherd.lab.exchanges import pptp
from ctherd.lab.topology import Topology
from ctherd.main.lab import hire
from ctherd.model.assignment import Assignment, AssignmentId, OnRevoke
from ctherd.model.catalog import Protocol
from ctherd.model.document import document

pytestmark = pytest.mark.root

_PPTP = Assignment(AssignmentId("pptp"), "pptp", Protocol.TCP, pptp.PORT)


@pytest.mark.parametrize("revoked", [False, True])
def test_a_tunnel_outlives_its_helper_and_then_a_hang_up(revoked: bool) -> None:
    """Revoking ends no open tunnel; only with the helper there does hanging up end its flow."""
    with Topology.build(tcp_ports=[pptp.PORT]) as net, hire("nftables") as ctherd:
        ctherd.apply(document("lab", net.router.name, [_PPTP]))
        with pptp.session(net.client, net.server, pptp.PORT) as calls:
            with calls.call() as call:
                call.talk()
                if revoked:
                    ctherd.apply(document("lab", net.router.name, []))
                call.talk()
            left = net.router.run(["conntrack", "-L", "-p", "gre"]).stdout

    assert bool(left) is revoked


def test_killing_ends_a_tunnel() -> None:
    """With ``on_revoke: kill`` the open tunnel ends with its helper, and its flow is gone."""
    with Topology.build(tcp_ports=[pptp.PORT]) as net, hire("nftables") as ctherd:
        killing = replace(_PPTP, on_revoke=OnRevoke.KILL)
        ctherd.apply(document("lab", net.router.name, [killing]))
        with pptp.session(net.client, net.server, pptp.PORT) as calls, calls.call() as call:
            call.talk()
            ctherd.apply(document("lab", net.router.name, []))
            with pytest.raises(ExchangeFailed, match="GRE to the server"):
                call.talk()
            left = net.router.run(["conntrack", "-L", "-p", "gre"]).stdout

    assert not left
