"""H.323 through a router of Neutron's: what comes back in has a way only where a helper made one.

The caller inside says in its call where it takes RTP, the terminal inside says in its registration
where it takes calls, H.245 and RTP: nobody outside knows a way to its address.
"""

from typing import Any

import pytest

from ctherd.lab.case import Between, ExchangeFailed
from ctherd.lab.exchanges import q931, ras
from ctherd.model.catalog import Family
from tests.openstack.network import Network
from tests.openstack.site import Site, assigned, becomes

# One name of Neutron's for two helpers of the kernel.
Q931 = {"helper": "h323", "protocol": "tcp", "port": q931.PORT}
RAS = {"helper": "h323", "protocol": "udp", "port": ras.PORT}


def passes(site: Site, half: dict[str, Any], session: Between) -> bool:
    """Tell whether a new connection has what it needs; that it can be had at all is asserted."""
    with session(site.client, site.server, Family.IPV4, half["port"]) as connection:
        assert connection.alive()
        try:
            connection.exchange()
        except ExchangeFailed:
            return False
    return True


@pytest.mark.parametrize(
    ("half", "kernels", "session"),
    [(Q931, "Q.931", q931.session), (RAS, "RAS", ras.session)],
    ids=["Q.931", "RAS"],
)
def test_passes_while_it_is_there(
    site: Site, network: Network, half: dict[str, Any], kernels: str, session: Between
) -> None:
    """What a call announces comes in while h323 is posted; an open connection loses it, and lives.

    Neither before nor after does it come in.
    """
    port = half["port"]
    assert not passes(site, half, session)
    helper = network.add_helper(site.router_id, half)
    assert becomes(lambda: assigned(site.router) == {port})
    with session(site.client, site.server, Family.IPV4, port) as connection:
        connection.exchange()
        assert site.helped_flows(kernels) == 1
        network.remove_helper(site.router_id, helper)
        assert becomes(lambda: assigned(site.router) == set())
        assert becomes(lambda: site.helped_flows(kernels) == 0)
        with pytest.raises(ExchangeFailed):
            connection.exchange()
        assert connection.alive()
    assert not passes(site, half, session)
