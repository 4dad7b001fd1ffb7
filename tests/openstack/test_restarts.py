"""Agents that end, come back or miss something: what is in force stays, and what shall be comes."""

import time
from collections.abc import Callable

import pytest

from tests.openstack.configuration import OFTEN, Setup
from tests.openstack.network import FTP, TFTP, Network
from tests.openstack.site import Site, assigned, becomes, failures
from tests.openstack.stack import Stack

UNGUARDED = Setup("ctherd", options=("own_table = false", "sweep_interval = 600"))


@pytest.fixture
def served(site: Site, network: Network) -> Site:
    """A router with FTP, which works."""
    network.add_helper(site.router_id, FTP)
    assert becomes(lambda: assigned(site.router) == {21})
    return site


@pytest.mark.parametrize("how", ["end", "kill"])
def test_a_restart_has_no_gap(stack: Stack, served: Site, network: Network, how: str) -> None:
    """No transfer fails while the agent ends or is killed, is away, starts, and goes on."""
    router = served.router_id
    with served.loop() as loop:
        assert not failures(loop.follow(time.monotonic(), 3))
        end: Callable[[], None] = getattr(stack.agent, how)
        end()
        assert not failures(loop.follow(time.monotonic(), 10))
        network.add_helper(router, TFTP)
        stack.start_agent()
        # That it has looked at this router is known by what it has learned.
        assert becomes(lambda: assigned(served.router) == {21, 69})
        assert not failures(loop.follow(time.monotonic(), 10))
        assert not failures(loop.finish())


def test_what_went_while_it_was_away_goes(stack: Stack, served: Site, network: Network) -> None:
    """A helper that is deleted while no agent runs is gone after the start, for live flows too."""
    with served.control() as ftp:
        assert served.transfer(ftp)
        stack.agent.kill()
        network.remove_helpers(served.router_id, "ftp")
        network.add_helper(served.router_id, TFTP)
        stack.start_agent()
        assert becomes(lambda: assigned(served.router) == {69})
        assert becomes(lambda: served.helped_flows() == 0)
        assert not served.transfer(ftp)


def test_a_flush_does_not_reach_us(stack: Stack, served: Site) -> None:
    """While the agent runs, the kernel keeps everybody else's hands off our table."""
    with served.loop() as loop:
        for _ in range(5):
            for family in ("iptables", "ip6tables"):
                served.router.run([family, "-t", "raw", "-F"])
            refused = served.router.run(["nft", "delete", "table", "inet", "ctherd"], check=False)
            assert refused.returncode != 0
        assert not failures(loop.follow(time.monotonic(), 5))
    assert assigned(served.router) == {21}


def test_a_privileged_daemon_that_dies_is_replaced(stack: Stack, served: Site) -> None:
    """Its end leaves what is in force; what is lost afterwards is repaired all the same."""
    helpers = stack.machine.processes("privsep_context ctherd.neutron.privileged.context")
    assert len(helpers) == 1
    with served.loop() as loop:
        stack.machine.run("kill", "-9", *helpers)
        assert not failures(loop.follow(time.monotonic(), 5))
    served.router.run(["nft", "flush", "ruleset"])
    assert becomes(lambda: assigned(served.router) == {21})


@pytest.mark.parametrize("setup", [UNGUARDED])
def test_what_others_remove_comes_back(stack: Stack, served: Site) -> None:
    """Without that guard it is repaired from the kernel's events, long before any sweep."""
    for command in ("flush ruleset", "delete table inet ctherd", "flush map inet ctherd assign"):
        served.router.run(["nft", *command.split()])
        assert becomes(lambda: assigned(served.router) == {21}, within_s=10.0), command
    netns = f"qrouter-{served.router_id}"
    # With its links it would be gone only when the last of them is; the name counts.
    stack.machine.run("ip", "netns", "delete", netns)
    stack.machine.run("ip", "netns", "add", netns)
    assert becomes(lambda: assigned(stack.machine.netns(netns)) == {21})


@pytest.mark.parametrize("setup", [OFTEN])
def test_a_message_that_never_came(stack: Stack, served: Site, network: Network) -> None:
    """What the database says is made true even if nobody ever said that it changed."""
    stack.sql(f"delete from conntrack_helpers where router_id = '{served.router_id}'")
    assert becomes(lambda: assigned(served.router) == set())
    assert becomes(lambda: served.helped_flows() == 0)


@pytest.mark.parametrize("setup", [OFTEN])
def test_a_broker_that_is_away(stack: Stack, served: Site, network: Network) -> None:
    """Without a bus everything stays in force; what changed meanwhile is made up for."""
    with served.loop() as loop:
        with stack.without_broker():
            stack.sql("update conntrack_helpers set port = 2121 where port = 21")
            assert not failures(loop.follow(time.monotonic(), 50))
            assert assigned(served.router) == {21}
        assert becomes(lambda: assigned(served.router) == {2121}, within_s=60.0)
