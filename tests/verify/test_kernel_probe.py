"""Flows through a copy of the router: the copy's kernel is the witness, the router sees nothing."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ctherd.demo.command_line import CTHERD
from ctherd.lab.namespace import Namespace
from ctherd.lab.topology import Topology
from ctherd.model.catalog import HELPERS
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import wire
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.socket import NetlinkSocket
from ctherd.netlink.wire import attribute, nested, string, u32
from tests.kernel.host import Host, becomes, canary
from tests.verify.conftest import FTP, TFTP, Verified

EVERYTHING = [
    (helper.name, protocol.value, helper.usual_ports[0])
    for helper in HELPERS
    for protocol in helper.protocols
]
RULESETS = Path(__file__).parent / "rulesets"
ROUTES = """
route add default via 198.51.100.2
rule add pref 100 from 192.0.2.0/24 lookup 77
route add default via 198.51.100.2 dev outside table 77
route add blackhole 10.99.0.0/16
-6 route add default via 2001:db8:2::2 metric 5
rule add pref 200 fwmark 0x4/0xffff iif inside lookup 78
route add 10.50.0.0/16 nexthop via 198.51.100.2 weight 2 nexthop via 192.0.2.2 weight 1
"""
ZONE = """
table inet zones {
  chain raw { type filter hook prerouting priority raw; ct zone set 0; }
}
"""
STRANGER = """
table inet firewall {
  chain forward { type filter hook forward priority 0; policy accept; }
}
"""


@pytest.fixture
def wide() -> Iterator[Topology]:
    """A router whose firewall lets the usual port of every helper pass."""
    ports = {
        l4: [port for _, protocol, port in EVERYTHING if protocol == l4] for l4 in ("tcp", "udp")
    }
    with Topology.build(tcp_ports=ports["tcp"], udp_ports=ports["udp"]) as net:
        yield net


def test_every_helper_is_proven(tmp_path: Path, wide: Topology, dataplane: str) -> None:
    """In every family that it serves, by what it expects or rewrites, through a whole copy."""
    edge = Verified(Host(tmp_path), wide.router.name, dataplane)
    edge.apply(*EVERYTHING)
    answer = json.loads(edge.ctherd("verify", "edge", "-o", "json"))
    found = answer["routers"][0]["evidence"]
    assert {(each["helper"], each["protocol"], each["family"]) for each in found} == {
        (helper.name, protocol.value, family.value)
        for helper in HELPERS
        for protocol in helper.protocols
        for family in helper.families
    }
    for each in found:
        assert (each["result"], each["proof"], each["missing"]) == ("proven", "probe", []), each
        told = "the payload names 198.51.100.1" if "snmp" in each["helper"] else " expects "
        assert f"helper {each['helper']}" in each["words"] and told in each["words"], each


def test_an_unusual_port_and_a_destination(edge: Verified, topology: Topology) -> None:
    """The flow goes to an address and the port that the assignment is about."""
    topology.router.nft(
        "add rule inet cthlab forward iifname inside tcp dport 2121 ct state new accept"
    )
    edge.apply(("ftp", "tcp", 2121, ["198.51.100.32/28", "2001:db8:2::4/128"]))
    found = edge.verify()
    assert {each["result"] for each in found.values()} == {"proven"}
    assert {each["proof"] for each in found.values()} == {"probe"}
    assert "to 198.51.100.4" in found["ftp", "ipv4"]["words"]
    assert "to 2001:db8:2::4 " in found["ftp", "ipv6"]["words"]


# -- what wins over it -----------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_foreign_raw_rule_that_wins_is_a_failure(
    nft_edge: Verified, topology: Topology, variant: str
) -> None:
    """The flow got the other helper; the rule is named. The other family is proven."""
    nft_edge.apply(FTP)
    rule = f"iptables-{variant} -t raw -A PREROUTING -p tcp --dport 21 -j CT --helper irc"
    topology.router.run(rule.split())
    found = nft_edge.verify(expect=1)
    assert found["ftp", "ipv4"]["result"] == "failed"
    assert "its flow got helper irc instead" in found["ftp", "ipv4"]["words"]
    assert "gives helper irc to tcp/21" in found["ftp", "ipv4"]["words"]
    assert found["ftp", "ipv6"]["result"] == "proven"


def test_a_foreign_rule_for_others_leaves_a_doubt(nft_edge: Verified, topology: Topology) -> None:
    """It is for one source only, which the probe is not from: proven, but not for everybody."""
    nft_edge.apply(FTP)
    rule = "iptables-nft -t raw -A PREROUTING -s 192.0.2.200 -p tcp --dport 21 -j CT --helper irc"
    topology.router.run(rule.split())
    found = nft_edge.verify()
    assert (found["ftp", "ipv4"]["result"], found["ftp", "ipv4"]["proof"]) == ("proven", "partial")
    assert "for other packets" in found["ftp", "ipv4"]["missing"][-1]


def test_notrack_is_a_failure(edge: Verified, topology: Topology) -> None:
    """No flow that would have a helper is there."""
    edge.apply(FTP)
    rule = "ip6tables-nft -t raw -I PREROUTING -p tcp --dport 21 -j CT --notrack"
    topology.router.run(rule.split())
    found = edge.verify(expect=1)
    assert found["ftp", "ipv4"]["result"] == "proven"
    assert found["ftp", "ipv6"]["result"] == "failed"


# -- what cannot be copied -------------------------------------------------------------------------


def test_what_cannot_be_copied_is_listed(edge: Verified, topology: Topology) -> None:
    """A rule that nft cannot say, by no tool of iptables either: partial, and why."""
    edge.apply(FTP)
    unspeakable(topology.router)
    found = edge.verify()
    assert {each["result"] for each in found.values()} == {"proven"}
    assert {each["proof"] for each in found.values()} == {"partial"}
    missing = "\n".join(found["ftp", "ipv4"]["missing"])
    assert "a rule of chain forward of table inet firewall" in missing
    assert "nft cannot say what it does" in missing
    assert "table inet firewall: chain forward has 1 rules, and 0" in missing
    assert "partial" in edge.ctherd("show")


def unspeakable(router: Namespace) -> None:
    """Make a rule as iptables makes them, in a table that iptables knows nothing of."""
    router.nft(STRANGER)
    match = nested(2, string(1, "comment"), u32(2, 0), attribute(3, b"hello".ljust(256, b"\0")))
    expressions = nested(4, nested(1, string(1, "match"), match))
    body = string(1, "firewall") + string(2, "forward") + expressions
    with router.inside():
        transport = NetlinkSocket()
    rule = nft.Request(nft.Operation.NEWRULE, wire.NLM_F_CREATE | wire.NLM_F_APPEND, body)
    with closing(transport):
        assert Dialogue(transport, "").commit([rule], None) == []


def test_a_guarded_table_of_others_is_copied(nft_edge: Verified, topology: Topology) -> None:
    """Of whose flags nft 1.0.6 makes something that neither it nor JSON can read."""
    nft_edge.apply(FTP)
    with topology.router.inside():
        transport = NetlinkSocket()
    guard = nft.TableFlag.OWNER | nft.TableFlag.PERSIST
    with closing(transport):
        made = nft.new_table("theirs", guard, "", exclusive=True)
        assert Dialogue(transport, "").commit([made], None) == []
    topology.router.nft("add chain inet theirs c { type filter hook forward priority 1; }")
    topology.router.nft("add rule inet theirs c tcp dport { 80, 443 } drop")
    found = nft_edge.verify()["ftp", "ipv4"]
    assert (found["result"], found["proof"], found["missing"]) == ("proven", "probe", [])


def test_an_ipset_is_copied(nft_edge: Verified, topology: Topology) -> None:
    """With the elements by which it decides: who is in it, does not come through the copy."""
    nft_edge.apply(FTP)
    topology.router.run(["ipset", "create", "blocked", "hash:net"])
    drop = "iptables-nft -I FORWARD -m set --match-set blocked src -j DROP"
    topology.router.run(drop.split())
    found = nft_edge.verify()
    assert {each["proof"] for each in found.values()} == {"probe"}
    topology.router.run(["ipset", "add", "blocked", "192.0.2.0/24"])
    found = nft_edge.verify()
    assert (found["ftp", "ipv4"]["result"], found["ftp", "ipv4"]["proof"]) == ("proven", "state")
    assert "no flow came through the copy" in found["ftp", "ipv4"]["missing"][0]
    assert found["ftp", "ipv6"]["proof"] == "probe"


def test_a_router_that_does_not_forward_is_told(nft_edge: Verified, topology: Topology) -> None:
    """In one family; where it does, the flow proves the helper."""
    nft_edge.apply(FTP)
    topology.router.set_sysctl("ipv4/ip_forward", 0)
    found = nft_edge.verify()
    assert found["ftp", "ipv4"]["proof"] == "state"
    assert (
        "no flow came through the copy: the router does not forward "
        "(net.ipv4.conf.inside.forwarding is 0)" in found["ftp", "ipv4"]["missing"][0]
    )
    assert found["ftp", "ipv6"]["proof"] == "probe"
    topology.router.set_sysctl("ipv6/conf/all/forwarding", 0)
    found = nft_edge.verify()
    assert "(net.ipv6.conf.all.forwarding is 0)" in found["ftp", "ipv6"]["missing"][0]


@pytest.mark.parametrize("place", ["before", "after"])
def test_what_only_a_flow_can_tell(tmp_path: Path, topology: Topology, place: str) -> None:
    """A zone that is set before the target CT leaves no helper; the younger chain comes first."""
    edge = Verified(Host(tmp_path), topology.router.name, "iptables-nft")
    if place == "after":
        topology.router.nft(ZONE)
    edge.apply(FTP)
    if place == "before":
        topology.router.nft(ZONE)
    assert {each["result"] for each in edge.verify("--no-probe").values()} == {"proven"}
    found = edge.verify(expect=1 if place == "before" else 0)
    assert {each["result"] for each in found.values()} == {
        "failed" if place == "before" else "proven"
    }
    assert ("its flow got no helper" in found["ftp", "ipv4"]["words"]) == (place == "before")


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_large_ruleset_is_copied_whole(edge: Verified, topology: Topology, variant: str) -> None:
    """Sets, maps, verdict maps, limits, zones, marks, NAT, other families; routes of all kinds."""
    saved = (RULESETS / "everything.iptables").read_text()
    topology.router.run([f"iptables-{variant}-restore"], input=saved)
    topology.router.run(["nft", "-f", "-"], input=(RULESETS / "everything.nft").read_text())
    for line in ROUTES.strip().splitlines():
        topology.router.run(["ip", *line.split()])
    edge.apply(FTP)
    found = edge.verify()
    # Where raw tables of both are, nobody can tell which of them comes first.
    mixed = (edge.dataplane, variant) in {("iptables-nft", "legacy"), ("iptables-legacy", "nft")}
    assert len(found["ftp", "ipv4"]["missing"]) == int(mixed), found["ftp", "ipv4"]
    assert {each["result"] for each in found.values()} == {"proven"}
    assert {each["proof"] for each in found.values()} == {"partial" if mixed else "probe"}
    assert "to 203.0.113.77 beyond outside" in found["ftp", "ipv4"]["words"]


# -- the router is not touched ---------------------------------------------------------------------


def state(router: Namespace) -> dict[str, Any]:
    """Everything of a router that a probe must leave alone, as other tools see it."""
    links = json.loads(router.run(["ip", "-j", "link"]).stdout)
    with router.inside():
        transport = NetlinkSocket()
    generation = Dialogue(transport, "").generation()
    transport.close()
    return {
        "generation": generation,
        "flows": router.run(["conntrack", "-L"]).stdout,
        "expectations": router.run(["conntrack", "-L", "expect"], check=False).stdout,
        "links": {each["ifname"]: each["ifindex"] for each in links},
        "packets": router.run(["nft", "list", "table", "inet", "watch"]).stdout,
        "routes": router.run(["ip", "route", "show", "table", "all"]).stdout,
        "legacy": router.run(["cat", "/proc/self/net/ip_tables_names"]).stdout,
    }


def test_the_router_is_not_touched(edge: Verified, topology: Topology) -> None:
    """No commit, no flow, no packet, no interface, no table of iptables-legacy."""
    edge.apply(FTP, TFTP)
    topology.router.nft(WATCH)
    before = state(topology.router)
    edge.verify()
    assert state(topology.router) == before


WATCH = """
table inet watch {
  chain in { type filter hook prerouting priority -400; meta l4proto { tcp, udp } counter; }
  chain out { type filter hook output priority -400; meta l4proto { tcp, udp } counter; }
}
"""


def test_without_probes_nothing_is_sent(nft_edge: Verified) -> None:
    """The policy of this machine may forbid them; the evidence says how little it is."""
    nft_edge.apply(FTP)
    config = nft_edge.host.command.directory / "ctherd.toml"
    config.write_text(config.read_text().replace("[policy]\n", "[policy]\nallow_probe = false\n"))
    found = nft_edge.verify()
    assert {(each["result"], each["proof"]) for each in found.values()} == {("proven", "state")}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_a_copy(
    nft_edge: Verified, topology: Topology, number: signal.Signals
) -> None:
    """However it ends: its namespaces are gone, with all that is in them."""
    nft_edge.apply(FTP)
    config = str(nft_edge.host.command.directory / "ctherd.toml")
    argv = [*CTHERD, "--config", config, "--dataplane", "nftables", "verify", "edge"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as verifying:
        known = {os.stat("/proc/self/ns/net").st_ino, inode_of(topology.router)}
        assert becomes(lambda: bool(scratch_of(verifying.pid, known)))
        verifying.send_signal(signal.SIGSTOP)
        copy, *_ = scratch_of(verifying.pid, known)
        lives = canary(Namespace(copy), topology.server)
        assert lives()
        verifying.send_signal(number)
        verifying.send_signal(signal.SIGCONT)
        verifying.wait(20)
    assert becomes(lambda: not lives())


def scratch_of(pid: int, known: set[int]) -> list[str]:
    """The descriptors of namespaces that a process holds, but for those that are known."""
    try:
        found = [each.path for each in os.scandir(f"/proc/{pid}/fd")]
        return [path for path in found if is_netns(path) and os.stat(path).st_ino not in known]
    except OSError:
        return []


def is_netns(path: str) -> bool:
    return os.readlink(path).startswith("net:")


def inode_of(namespace: Namespace) -> int:
    with namespace.opened() as netns_fd:
        return os.fstat(netns_fd).st_ino
