"""Which way a probe goes through routers that have one side, no default route, or other rules."""

import pytest

from ctherd.lab.topology import Topology
from tests.verify.conftest import FTP, Verified

OPEN = "flush chain inet cthlab forward; add chain inet cthlab forward { policy accept; }"


def ip(topology: Topology, *lines: str) -> None:
    for line in lines:
        topology.router.run(["ip", *line.split()])


def proven(edge: Verified, family: str = "ipv4") -> str:
    """What is said of FTP, which is proven by a probe."""
    found = edge.verify()["ftp", family]
    assert (found["result"], found["proof"], found["missing"]) == ("proven", "probe", [])
    return str(found["words"])


def test_outside_is_where_the_default_route_leads(nft_edge: Verified, topology: Topology) -> None:
    """The server is far beyond the gateway, the client beside the other interface."""
    nft_edge.apply(FTP)
    ip(topology, "route add default via 198.51.100.2", "-6 route add default via 2001:db8:2::2")
    assert "from 192.0.2.64 beyond inside to 203.0.113.77 beyond outside" in proven(nft_edge)
    assert "to 2001:db8:ffff::4d beyond outside" in proven(nft_edge, "ipv6")
    assert "assumed" not in proven(nft_edge)


def test_a_server_inside_is_asked_from_outside(nft_edge: Verified, topology: Topology) -> None:
    """Destinations that the router has inside: the client is a stranger beyond the gateway."""
    topology.router.nft(OPEN)
    nft_edge.apply((*FTP, ["192.0.2.128/25"]))
    ip(topology, "route add default via 198.51.100.2")
    assert "from 203.0.113.177 beyond outside to 192.0.2.19" in proven(nft_edge)


def test_one_side_is_both(nft_edge: Verified, topology: Topology) -> None:
    """Client and server are both beyond the only interface; that is said to be an assumption."""
    topology.router.nft(OPEN)
    nft_edge.apply(FTP)
    ip(topology, "link delete inside", "route add default via 198.51.100.2")
    words = proven(nft_edge)
    assert "beyond outside to 203.0.113.77 beyond outside" in words
    assert "outside is the only interface" in words


def test_without_an_address_there_is_no_way(nft_edge: Verified, topology: Topology) -> None:
    """The evidence is the kernel's state, and says why it is no more."""
    nft_edge.apply(FTP)
    ip(topology, "link delete inside", "link delete outside")
    found = nft_edge.verify()["ftp", "ipv4"]
    assert (found["result"], found["proof"]) == ("proven", "state")
    assert "no probe could be sent" in found["missing"][0]


def test_a_destination_of_the_router_itself(nft_edge: Verified, topology: Topology) -> None:
    """Who answers there, behind destination NAT perhaps, nobody knows."""
    nft_edge.apply((*FTP, ["198.51.100.1/32"]))
    found = nft_edge.verify()["ftp", "ipv4"]
    assert found["proof"] == "state"
    assert "the router's own" in found["missing"][0]


def test_a_flow_that_the_firewall_stops(nft_edge: Verified, topology: Topology) -> None:
    """Nothing is said of the helper that was not seen: the state, and that no flow came through."""
    topology.router.nft("flush chain inet cthlab forward")
    nft_edge.apply(FTP)
    found = nft_edge.verify()["ftp", "ipv4"]
    assert (found["result"], found["proof"]) == ("proven", "state")
    assert "no flow came through the copy" in found["missing"][0]


@pytest.mark.parametrize("strict", [False, True])
def test_interfaces_without_helpers_are_not_begun_at(
    edge: Verified, topology: Topology, strict: bool
) -> None:
    """A policy that narrows helpers is in the copy, and the client is where they are given."""
    config = edge.host.command.directory / "ctherd.toml"
    spoofing = "strict" if strict else "off"
    config.write_text(
        config.read_text()
        + f'[policy.scope]\nrelated = true\nnot_from = ["outs*"]\nanti_spoofing = "{spoofing}"\n'
    )
    edge.apply(FTP)
    assert "beyond inside to" in proven(edge)


def test_rules_may_lead_abroad_where_no_route_does(nft_edge: Verified, topology: Topology) -> None:
    """As in a distributed router: from one subnet only, by a table of its own."""
    nft_edge.apply(FTP)
    ip(
        topology,
        "route add default via 198.51.100.9 dev outside table 16",
        "rule add pref 57481 from 192.0.2.0/24 lookup 16",
        "rule add pref 90 iif outside to 10.0.0.0/8 lookup 17",
    )
    words = proven(nft_edge)
    assert "from 192.0.2.64 beyond inside to 203.0.113.77 beyond outside" in words
    assert "rules lead abroad from beside inside" in words


def test_rules_may_send_it_back(nft_edge: Verified, topology: Topology) -> None:
    """To a gateway on the same side, which knows the way out."""
    topology.router.nft(OPEN)
    nft_edge.apply(FTP)
    ip(
        topology,
        "route add default via 192.0.2.9 dev inside table 16",
        "rule add pref 57481 from 192.0.2.0/24 lookup 16",
    )
    assert "from 192.0.2.64 beyond inside to 203.0.113.77 beyond inside" in proven(nft_edge)


def test_a_route_with_a_rule_of_its_own_gateway(nft_edge: Verified, topology: Topology) -> None:
    """The server is beyond the gateway that the client's packets go by, not the router's own."""
    nft_edge.apply(FTP)
    ip(
        topology,
        "route add default via 198.51.100.8",
        "route add default via 198.51.100.9 dev outside table 16",
        "rule add pref 100 from 192.0.2.0/24 lookup 16",
    )
    assert "to 203.0.113.77 beyond outside" in proven(nft_edge)


def test_interfaces_that_are_more_than_plain_are_listed(
    nft_edge: Verified, topology: Topology
) -> None:
    """A bridge and what belongs to it are plain interfaces in the copy; the probe still passes."""
    nft_edge.apply(FTP)
    ip(
        topology,
        "link add br0 type bridge",
        "link add port type veth peer name elsewhere",
        "link set port master br0",
        "address add 10.9.0.1/24 dev br0",
        "link set br0 up",
    )
    found = nft_edge.verify()["ftp", "ipv4"]
    assert (found["result"], found["proof"]) == ("proven", "partial")
    assert found["missing"] == [
        "interface br0 is a bridge, and a plain one in the copy",
        "interface port belongs to br0, and to nothing in the copy",
    ]
