"""What the API takes while no message gets through: the database counts, whoever was told of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.openstack.configuration import OFTEN
from tests.openstack.network import FTP, TFTP, Network
from tests.openstack.site import Site, assigned, becomes
from tests.openstack.stack import Stack


@pytest.mark.parametrize("setup", [OFTEN])
def test_what_is_asked_without_a_bus(stack: Stack, site: Site, network: Network) -> None:
    """Whatever the API answers, the kernel is as the database says soon after the bus is back.

    Until then what was in force is.
    """
    ftp = network.add_helper(site.router_id, FTP)
    assert becomes(lambda: assigned(site.router) == {21})
    with ThreadPoolExecutor() as asking:
        with stack.without_broker():
            # Neutron writes it down, and answers once it could tell somebody, or gives up.
            asking.submit(network.add_helper, site.router_id, TFTP)
            asking.submit(network.remove_helper, site.router_id, ftp)
            assert becomes(lambda: network.ports(site.router_id) == {69})
            assert site.attempt().succeeded
            assert assigned(site.router) == {21}
        assert becomes(lambda: assigned(site.router) == {69}, within_s=60.0)
    assert network.ports(site.router_id) == {69}
    assert not site.attempt().succeeded
