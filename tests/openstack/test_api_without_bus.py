"""What the API takes while no message gets through: the database counts, whoever was told of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.openstack.configuration import OFTEN
from tests.openstack.network import FTP, TFTP, Network
from tests.openstack.site import Site, assigned, becomes
from tests.openstack.stack import Stack


@pytest.mark.parametrize("setup", [OFTEN])
def test_what_is_asked_without_a_bus(stack: Stack, site: Site, network: Network) -> None:
    """Whatever the API answers, the kernel is what the database says, soon after the bus is back.

    Until then it stays as it is: a pull that fails says nothing.
    """
    ftp = network.add_helper(site.router_id, FTP)
    assert becomes(lambda: assigned(site.router) == {21})
    start = stack.agent.log.stat().st_size
    stack.stop_broker()
    with ThreadPoolExecutor() as asking:
        # Neutron answers when it could tell somebody, or not at all.
        asking.submit(network.add_helper, site.router_id, TFTP)
        asking.submit(network.remove_helper, site.router_id, ftp)
        assert becomes(lambda: network.ports(site.router_id) == {69})
        failed = b"cannot be learned now"
        assert becomes(lambda: failed in stack.agent.log.read_bytes()[start:], within_s=60.0)
        assert assigned(site.router) == {21}
        stack.start_broker()
        stack.wait_for_broker()
        assert becomes(lambda: assigned(site.router) == {69}, within_s=60.0)
    assert network.ports(site.router_id) == {69}
