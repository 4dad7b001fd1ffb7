"""The dataplanes of rules in the raw tables, behind the boundary of privileges: with traffic."""

import pytest

from tests.openstack.configuration import Setup
from tests.openstack.network import FTP, TFTP, Network
from tests.openstack.rules import ours, ports
from tests.openstack.site import Site, becomes
from tests.openstack.stack import Stack

VARIANTS = [
    Setup("ctherd", options=(f"dataplane = iptables-{each}",)) for each in ("nft", "legacy")
]


@pytest.mark.parametrize("setup", VARIANTS, ids=["nft", "legacy"])
def test_created_and_deleted(stack: Stack, site: Site, network: Network) -> None:
    """What is posted works by rules; what is deleted is gone, for live flows too, which live on.

    That is so while the agent runs, and after the start of one that was away meanwhile.
    """
    assert not site.attempt().succeeded
    helper = network.add_helper(site.router_id, FTP)
    assert becomes(lambda: ports(site.router) == {21})
    assert "table inet ctherd" not in site.router.run(["nft", "list", "tables"]).stdout
    with site.control() as ftp:
        assert site.transfer(ftp)
        assert site.helped_flows() == 1
        network.remove_helper(site.router_id, helper)
        assert becomes(lambda: not ours(site.router))
        assert becomes(lambda: site.helped_flows() == 0)
        assert not site.transfer(ftp)
        assert ftp.voidcmd("NOOP").startswith("200")
    assert not site.attempt().succeeded
    helper = network.add_helper(site.router_id, FTP)
    assert becomes(lambda: ports(site.router) == {21})
    with site.control() as ftp:
        assert site.transfer(ftp)
        stack.agent.kill()
        network.remove_helper(site.router_id, helper)
        network.add_helper(site.router_id, TFTP)
        stack.start_agent()
        assert becomes(lambda: ports(site.router) == {69})
        assert becomes(lambda: site.helped_flows() == 0)
        assert not site.transfer(ftp)
