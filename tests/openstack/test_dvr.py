"""Distributed routers: helpers belong where addresses are translated, and nothing elsewhere."""

import pytest

from tests.openstack.configuration import Setup
from tests.openstack.network import FTP, TFTP, Network
from tests.openstack.site import Site, assigned, becomes
from tests.openstack.stack import Stack

EDGE = Setup("ctherd", mode="dvr_snat")
LOCAL = Setup("ctherd", mode="dvr")


@pytest.mark.parametrize("setup", [EDGE])
def test_where_it_translates(stack: Stack, network: Network) -> None:
    """With a gateway the helpers are in snat-…, work there, and go with it; never in qrouter-…."""
    start = stack.agent.log.stat().st_size
    router = network.router(FTP, distributed=True)
    with Site.built(stack.machine, network, router) as site:
        gateway = stack.machine.netns(f"snat-{router}")
        assert becomes(lambda: assigned(gateway) == {21})
        # Nobody but the host's own sysctl, which a new namespace inherits, has it forward here.
        gateway.set_sysctl("ipv4/ip_forward", 1)
        assert becomes(site.reaches_its_server)
        assert site.attempt().succeeded
        network.add_helper(router, TFTP)
        assert becomes(lambda: assigned(gateway) == {21, 69})
        assert assigned(site.router) == set()
        network.remove_helpers(router, "ftp")
        assert becomes(lambda: assigned(gateway) == {69})
        assert not site.attempt().succeeded
    network.change_router(router, external_gateway_info=None)
    assert becomes(lambda: not stack.machine.has_netns(f"snat-{router}"))
    assert_nothing_failed(stack, start)


@pytest.mark.parametrize("setup", [LOCAL])
def test_where_it_does_not(stack: Stack, network: Network) -> None:
    """A distributed router that is not translated here gets nothing, and no exception either."""
    start = stack.agent.log.stat().st_size
    router = network.router(FTP, placed=False, distributed=True)
    other = network.router(placed=False, distributed=True)
    for each in (router, other):
        network.add_instance(network.add_inside(each))
        assert becomes(lambda name=f"qrouter-{each}": stack.machine.has_netns(name))  # type: ignore[misc]
    network.add_helper(other, TFTP)
    network.remove_helpers(router, "ftp")
    assert_nothing_failed(stack, start)


def assert_nothing_failed(stack: Stack, start: int) -> None:
    """The log of the agent, from *start*, tells of no exception."""
    said = stack.agent.log.read_bytes()[start:].decode()
    assert "Traceback" not in said, said
    assert "Failed to process" not in said, said
