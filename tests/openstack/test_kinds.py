"""Kinds of routers: HA in both states, distributed ones at the edge and elsewhere."""

from tests.openstack.configuration import Setup
from tests.openstack.network import FTP, TFTP, Network
from tests.openstack.site import Site, assigned, becomes, has
from tests.openstack.stack import Stack

EDGE = Setup("ctherd", mode="dvr_snat")
LOCAL = Setup("ctherd", mode="dvr")


def state(stack: Stack, router: str) -> str:
    path = stack.machine.path(f"/run/stack/state/ha_confs/{router}/state")
    return path.read_text() if path.exists() else ""


def test_both_states_of_ha(stack: Stack, network: Network) -> None:
    """A router has its helpers as primary and as backup, and takes new ones in either state."""
    router = network.router(FTP, ha=True)
    with Site.built(stack.machine, network, router) as site:
        assert becomes(lambda: state(stack, router) == "primary")
        assert has(stack.machine, router, {21})
        assert becomes(site.reaches_its_server)
        assert site.attempt().succeeded
        vrrp = network.ha_link(router)
        stack.machine.run("ip", "link", "set", vrrp, "down")
        assert becomes(lambda: state(stack, router) == "backup")
        assert assigned(site.router) == {21}
        network.add_helper(router, TFTP)
        assert becomes(lambda: assigned(site.router) == {21, 69})
        stack.machine.run("ip", "link", "set", vrrp, "up")
        assert becomes(lambda: state(stack, router) == "primary")
        assert becomes(lambda: site.attempt().succeeded)
        assert assigned(site.router) == {21, 69}
        said = stack.agent.log.read_text()
        assert "Traceback" not in said, said
