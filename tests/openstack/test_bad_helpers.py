"""Helpers that cannot be, or only by half: nobody but they notice, and the log says why."""

import json
import re

import pytest

from ctherd.lab import sockets
from ctherd.lab.exchanges import irc
from ctherd.lab.exchanges.irc_relay import relay
from ctherd.lab.namespace import Namespace
from tests.openstack.configuration import OFTEN
from tests.openstack.network import FTP, INSIDE_GATEWAY_V6, TFTP, Network
from tests.openstack.site import CLIENT_V6, Site, assigned, becomes, has
from tests.openstack.stack import Stack

pytestmark = pytest.mark.parametrize("setup", [OFTEN])

# Neutron allows both by default: no kernel has the one, and the other is where FTP is.
AMANDA = {"helper": "amanda", "protocol": "tcp", "port": 10080}
TAKEN = {"helper": "irc", "protocol": "tcp", "port": 21}
H323 = {"helper": "h323", "protocol": "tcp", "port": 1720}

V4_ONLY = (
    {"helper": "irc", "protocol": "tcp", "port": irc.PORT},
    {"helper": "pptp", "protocol": "tcp", "port": 1723},
    {"helper": "snmp", "protocol": "udp", "port": 161},
    {"helper": "netbios-ns", "protocol": "udp", "port": 137},
)

# Not whatever Neutron finds wrong: a report of its own may have met the end of a broker before.
_ERRORS = re.compile(
    r" (ERROR|CRITICAL) (ctherd|neutron\.agent\.(linux|l3\.router_info))|Failed to process"
)


class Said:
    """What the agent says from now on."""

    def __init__(self, stack: Stack) -> None:
        self._log = stack.agent.log
        self._start = self._log.stat().st_size

    def errors(self) -> list[str]:
        """Return the lines that tell that we, or a router, are not well."""
        said = self._log.read_bytes()[self._start :].decode()
        return [line for line in said.splitlines() if _ERRORS.search(line)]


def is_well(network: Network, router_id: str) -> bool:
    """Have the agent process the router anew; tell whether it and its new address are active."""
    added = network.add_floating_address(router_id)
    path = f"floatingips/{added['id']}"
    return becomes(
        lambda: network.status(path) == network.status(f"routers/{router_id}") == "ACTIVE"
    )


def families(router: Namespace) -> dict[str, str]:
    """Return for which family each helper object of ours is, as nft has it."""
    listed = router.run(["nft", "-j", "list", "ct", "helpers", "table", "inet", "ctherd"]).stdout
    made = [each["ct helper"] for each in json.loads(listed)["nftables"] if "ct helper" in each]
    return {each["type"]: each["l3proto"] for each in made}


def test_what_cannot_be_harms_nothing(stack: Stack, site: Site, network: Network) -> None:
    """Router and floating addresses are active, all else works; each is named once, with reason.

    However often the router is processed and the server asked.
    """
    said = Said(stack)
    network.add_helper(site.router_id, AMANDA)
    network.add_helper(site.router_id, FTP)
    assert becomes(lambda: assigned(site.router) == {21})
    for each in (TAKEN, H323, TFTP):
        network.add_helper(site.router_id, each)
    assert becomes(lambda: assigned(site.router) == {21, 69, 1720})
    for port in (1069, 2069, 3069):
        assert is_well(network, site.router_id)
        # Nobody says this: that it is there shows that the server was asked again.
        stack.sql(f"update conntrack_helpers set port = {port} where helper = 'tftp'")
        assert becomes(lambda port=port: assigned(site.router) == {21, 1720, port})  # type: ignore[misc]
    assert site.attempt().succeeded
    amanda, taken = said.errors()
    assert "left out: tcp/10080 amanda: helper amanda does not speak tcp" in amanda
    assert "left out: tcp/21 irc: tcp/21 has helper ftp already" in taken
    # Nor does it harm a router that comes with it.
    other = network.router(AMANDA, FTP)
    assert has(stack.machine, other, {21})
    assert network.status(f"routers/{other}") == "ACTIVE"


def test_half_a_helper_is_one(stack: Stack, site: Site, network: Network) -> None:
    """What is for IPv4 only works over IPv4 on a router that has IPv6, which goes on as it was."""
    said = Said(stack)
    network.add_ipv6(site.router_id)
    site.client.run(["ip", "address", "add", f"{CLIENT_V6}/64", "dev", "eth0", "nodad"])
    assert becomes(lambda: site.reaches(INSIDE_GATEWAY_V6))
    for each in (*V4_ONLY, FTP):
        network.add_helper(site.router_id, each)
    assert becomes(lambda: assigned(site.router) == {irc.PORT, 1723, 161, 137, 21})
    only_v4 = {str(each["helper"]): "ip" for each in V4_ONLY}
    assert families(site.router) == {**only_v4, "ftp": "inet"}
    assert is_well(network, site.router_id)
    with irc.session(site.client, site.server, irc.PORT, relay) as connection:
        connection.exchange()
    # Nobody is there; who was let through is told so.
    with pytest.raises(ConnectionRefusedError):
        sockets.connected(site.client, INSIDE_GATEWAY_V6, irc.PORT)
    assert site.attempt().succeeded
    assert said.errors() == []
