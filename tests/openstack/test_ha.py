"""HA routers: their helpers are in the kernel in both states, on each node, before it is active."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.openstack.configuration import CTHERD, HOST
from tests.openstack.machine import STATE, Machine
from tests.openstack.network import FTP, TFTP, Network
from tests.openstack.node import SECOND, Node
from tests.openstack.site import Site, assigned, becomes, failures, has
from tests.openstack.stack import Stack


def state(machine: Machine, router: str) -> str:
    """Return what keepalived made of *router* last: ``primary`` or ``backup``."""
    path = machine.path(f"{STATE}/state/ha_confs/{router}/state")
    return path.read_text() if path.exists() else ""


def test_both_states_of_ha(stack: Stack, network: Network) -> None:
    """A router has its helpers as primary and as backup, and takes new ones in either state."""
    start = stack.agent.log.stat().st_size
    router = network.router(FTP, ha=True)
    with Site.built(stack.machine, network, router) as site:
        assert becomes(lambda: state(stack.machine, router) == "primary")
        assert has(stack.machine, router, {21})
        assert becomes(site.reaches_its_server)
        assert site.attempt().succeeded
        vrrp = network.ha_link(router)
        stack.machine.run("ip", "link", "set", vrrp, "down")
        assert becomes(lambda: state(stack.machine, router) == "backup")
        assert assigned(site.router) == {21}
        network.add_helper(router, TFTP)
        assert becomes(lambda: assigned(site.router) == {21, 69})
        stack.machine.run("ip", "link", "set", vrrp, "up")
        assert becomes(lambda: state(stack.machine, router) == "primary")
        assert becomes(lambda: site.attempt().succeeded)
        assert assigned(site.router) == {21, 69}
        said = stack.agent.log.read_bytes()[start:].decode()
        assert "Traceback" not in said, said


@pytest.fixture
def pair(stack: Stack, network: Network) -> Iterator[tuple[Site, Node, ExitStack]]:
    """An HA router with FTP, active on the first node and backed up by the second.

    Shape: closing the last one is the death of the second node.
    """
    router = network.router(FTP, ha=True)
    with Site.built(stack.machine, network, router) as site, ExitStack() as life:
        assert becomes(lambda: state(stack.machine, router) == "primary")
        node = life.enter_context(Node.up(stack, CTHERD))
        node.join(network.of_router(router))
        network.place(router, SECOND)
        yield site, node, life
    network.clear()
    network.forget_agent(SECOND)


def test_failover(stack: Stack, network: Network, pair: tuple[Site, Node, ExitStack]) -> None:
    """Whichever node is active, and from the moment that it is, FTP passes it."""
    start = stack.agent.log.stat().st_size
    site, node, life = pair
    router, first, second = site.router_id, stack.machine, node.machine
    assert has(second, router, {21})
    assert becomes(lambda: state(second, router) == "backup")
    assert state(first, router) == "primary"
    assert becomes(site.reaches_its_server)
    assert site.attempt().succeeded
    # The active one loses its link: it is demoted, and lives.
    first.run("ip", "link", "set", network.ha_link(router), "down")
    assert becomes(lambda: state(second, router) == "primary")
    standby = second.netns(site.router_name)
    assert assigned(standby) == assigned(site.router) == {21}
    passes(site, network, SECOND)
    assert "helper=ftp" in standby.run(["conntrack", "-L"]).stdout
    # A change reaches the one that is active and the one that is not.
    network.add_helper(router, TFTP)
    for machine in (first, second):
        assert has(machine, router, {21, 69})
    network.remove_helpers(router, "ftp")
    for machine in (first, second):
        assert has(machine, router, {69})
    assert not site.attempt().succeeded
    network.add_helper(router, FTP)
    for machine in (first, second):
        assert has(machine, router, {21, 69})
    first.run("ip", "link", "set", network.ha_link(router), "up")
    assert becomes(lambda: state(first, router) == "backup")
    assert becomes(lambda: network.active_on(router) == {SECOND})
    # The active one dies, with everything on it.
    life.close()
    assert becomes(lambda: state(first, router) == "primary")
    assert assigned(site.router) == {21, 69}
    passes(site, network, HOST)
    for said in (node.agent.log.read_text(), stack.agent.log.read_bytes()[start:].decode()):
        assert "Traceback" not in said, said


def passes(site: Site, network: Network, host: str) -> None:
    """FTP works as soon as anything does, and goes on while the agent of *host* hears of it."""
    assert becomes(site.reaches_its_server)
    with site.loop() as loop:
        assert not failures(loop.follow(0.0, 1))
        assert becomes(lambda: host in network.active_on(site.router_id))
        assert not failures(loop.follow(time.monotonic(), 10))
        assert not failures(loop.finish())
