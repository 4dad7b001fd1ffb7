"""Helpers by Neutron's API, made by our extension: `nft` and FTP through the router tell."""

from tests.openstack.network import FTP, TFTP, Network
from tests.openstack.site import Site, assigned, becomes, has
from tests.openstack.stack import Stack


def test_created_changed_deleted(site: Site, network: Network) -> None:
    """What is posted is in the kernel and works; what is deleted is gone, for live flows too."""
    assert not site.attempt().succeeded
    helper = network.add_helper(site.router_id, FTP)
    assert becomes(lambda: assigned(site.router) == {21})
    assert site.attempt().succeeded
    network.change_helper(site.router_id, helper, port=2121)
    assert becomes(lambda: assigned(site.router) == {2121})
    network.change_helper(site.router_id, helper, port=21)
    assert becomes(lambda: assigned(site.router) == {21})
    with site.control() as ftp:
        assert site.transfer(ftp)
        assert site.helped_flows() == 1
        network.remove_helper(site.router_id, helper)
        assert becomes(lambda: assigned(site.router) == set())
        assert becomes(lambda: site.helped_flows() == 0)
        assert not site.transfer(ftp)
        assert ftp.voidcmd("NOOP").startswith("200")  # the connection itself lives
    assert not site.attempt().succeeded
    assert "table inet ctherd" not in site.router.run(["nft", "list", "tables"]).stdout


def test_helpers_come_with_their_router(stack: Stack, network: Network) -> None:
    """A router that has helpers before it gets to the agent has them in the kernel soon after."""
    router = network.router(FTP, TFTP)
    assert has(stack.machine, router, {21, 69})


def test_fifty_routers(stack: Stack, network: Network) -> None:
    """Fifty routers at once get what is theirs, and lose it while their neighbours keep it."""
    routers = [network.router(FTP, {**TFTP, "port": 1024 + n}) for n in range(50)]
    for n, router in enumerate(routers):
        assert has(stack.machine, router, {21, 1024 + n}, within_s=120.0)
    for router in routers[::2]:
        network.remove_helpers(router, "ftp")
    for n, router in enumerate(routers):
        assert has(stack.machine, router, {21, 1024 + n} if n % 2 else {1024 + n})
