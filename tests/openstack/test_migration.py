"""From Neutron's own extension to ours and back, with traffic that must not notice."""

import time

import pytest

from tests.openstack.configuration import CTHERD, IN_TREE, Setup
from tests.openstack.machine import BIN, STATE
from tests.openstack.network import FTP, TFTP, Network
from tests.openstack.rules import in_tree, neutrons, ours, ports
from tests.openstack.site import Site, assigned, becomes, failures
from tests.openstack.stack import Stack

BOTH = Setup("conntrack_helper,ctherd")
IPTABLES = Setup("ctherd", options=("dataplane = iptables-nft",))

STATE_DIR = f"{STATE}/state/ctherd"


@pytest.mark.parametrize("setup", [IN_TREE])
def test_there_and_back_without_a_gap(stack: Stack, site: Site, network: Network) -> None:
    """Not one transfer fails; what the other one made is gone each time, and neither has both."""
    network.add_helper(site.router_id, FTP)
    network.add_helper(site.router_id, TFTP)
    assert becomes(lambda: site.attempt().succeeded)
    assert becomes(lambda: len(in_tree(site.router)) >= 8)
    with site.loop() as loop:
        stack.run_agent(CTHERD)
        assert becomes(lambda: assigned(site.router) == {21, 69})
        assert becomes(lambda: in_tree(site.router) == [])
        assert not failures(loop.follow(time.monotonic(), 5))
        stack.run_agent(IN_TREE)
        assert becomes(lambda: any("ftp" in line for line in in_tree(site.router)))
        assert not failures(loop.follow(time.monotonic(), 5))
        # What the operator does then, as docs/neutron.md says.
        uninstall = ("uninstall", "--state-dir", STATE_DIR, "--yes")
        stack.machine.run(f"{BIN}/ctherd", *uninstall)
        assert not ours(site.router)
        assert not failures(loop.follow(time.monotonic(), 5))


@pytest.mark.parametrize("setup", [IN_TREE])
def test_what_was_deleted_meanwhile_goes(stack: Stack, site: Site, network: Network) -> None:
    """What Neutron's extension left, and nobody wants any more, goes; from live flows as well."""
    network.add_helper(site.router_id, FTP)
    assert becomes(lambda: site.attempt().succeeded)
    with site.control() as ftp:
        assert site.transfer(ftp)
        stack.agent.end()
        network.remove_helpers(site.router_id, "ftp")
        network.add_helper(site.router_id, TFTP)
        stack.run_agent(CTHERD)
        assert becomes(lambda: assigned(site.router) == {69})
        assert becomes(lambda: in_tree(site.router) == [])
        assert becomes(lambda: site.helped_flows() == 0)
        assert not site.transfer(ftp)
    assert not site.attempt().succeeded


@pytest.mark.parametrize("setup", [CTHERD, IPTABLES], ids=["nftables", "iptables"])
def test_neither_touches_the_other(stack: Stack, site: Site, network: Network) -> None:
    """Helpers come and go and Neutron's rules stay; those change, and helpers work on."""
    before = neutrons(site.router)
    helper = network.add_helper(site.router_id, FTP)
    assert becomes(lambda: site.attempt().succeeded)
    assert neutrons(site.router) == before
    with site.loop() as loop:
        # What the iptables manager has to change makes it write everything anew.
        network.add_floating_address(site.router_id)
        assert becomes(lambda: neutrons(site.router) != before)
        before = neutrons(site.router)
        stack.agent.kill()
        stack.start_agent()
        network.add_helper(site.router_id, TFTP)
        assert becomes(lambda: ports(site.router) == {21, 69})
        assert not failures(loop.follow(time.monotonic(), 5))
    assert neutrons(site.router) == before
    network.remove_helper(site.router_id, helper)
    network.remove_helpers(site.router_id, "tftp")
    assert becomes(lambda: not ours(site.router))
    assert neutrons(site.router) == before


@pytest.mark.parametrize("setup", [IN_TREE])
def test_never_both(stack: Stack, site: Site, network: Network) -> None:
    """An agent that is told to load both does not start, and says what to do."""
    network.add_helper(site.router_id, FTP)
    assert becomes(lambda: site.attempt().succeeded)
    stack.agent.end()
    start = stack.agent.log.stat().st_size
    BOTH.install(stack.machine)
    heard = stack.heartbeat()
    stack.launch_agent()
    refusal = "ctherd takes the place of conntrack_helper"
    assert becomes(lambda: refusal in stack.agent.log.read_bytes()[start:].decode())
    assert stack.heartbeat() == heard
    # Neutron starts the process that does the work again and again, until somebody comes.
    stack.agent.kill()
    IN_TREE.install(stack.machine)
    stack.start_agent()
    assert site.attempt().succeeded
