"""What `ctherd verify --no-probe` says of the kernel's state, and for how long that counts."""

import json

import pytest

from ctherd.demo.command_line import CTHERD
from ctherd.lab.topology import Topology
from tests.kernel.host import Host, becomes
from tests.verify.conftest import FTP, TFTP, Verified

BOTH = {("ftp", "ipv4"), ("ftp", "ipv6")}
COUNTING = """
table inet counting {
  set seen { type ipv4_addr; flags dynamic,timeout; timeout 1m; }
  quota some { over 100 mbytes; }
  chain in {
    type filter hook prerouting priority -400;
    counter add @seen { ip saddr counter } quota name "some" drop
    quota over 500 mbytes drop
    limit rate over 1000/second drop
  }
}
"""
BAD_PRIORITY = """
table inet theirs {
  ct helper s { type "sip" protocol tcp; }
  chain c {
    type filter hook prerouting priority -160
    tcp dport 21 ct helper set "s"
  }
}
"""


def test_what_is_assigned_is_proven(edge: Verified) -> None:
    """In each family of each assignment, and only there; by the state alone it says so."""
    edge.apply(FTP, (*TFTP, ["198.51.100.0/24"]))
    found = edge.verify("--no-probe")
    assert found.keys() == BOTH | {("tftp", "ipv4")}
    assert {(each["result"], each["proof"]) for each in found.values()} == {("proven", "state")}
    assert edge.verify("tcp/21", "--no-probe").keys() == BOTH


def test_what_is_not_there_is_a_failure_with_its_reason(edge: Verified) -> None:
    """Declared, but nobody applied it."""
    edge.apply(FTP)
    edge.apply()
    edge.host.declare({edge.netns: [FTP]})
    answer = edge.ctherd("verify", f"r-{edge.netns}", "--no-probe", expect=1)
    assert "there is no" in answer


def test_one_that_nobody_knows_is_an_error(nft_edge: Verified) -> None:
    """A router as well as an assignment; nothing is verified."""
    nft_edge.apply(FTP)
    assert "no router 'edgy'" in nft_edge.ctherd("verify", "edgy", expect=1)
    assert "no assignment 'tcp/22'" in nft_edge.ctherd("verify", "edge", "tcp/22", expect=1)


def test_a_foreign_rule_that_may_win_is_a_failure(nft_edge: Verified, topology: Topology) -> None:
    """By the state alone nobody can tell, so it is named and nothing is claimed."""
    nft_edge.apply(FTP, TFTP)
    topology.router.nft(BAD_PRIORITY)
    found = nft_edge.verify("--no-probe", expect=1)
    assert found["ftp", "ipv4"]["result"] == "failed"
    assert "inet table theirs chain c" in found["ftp", "ipv4"]["words"]
    assert found["tftp", "ipv4"]["result"] == "proven"


def test_a_notrack_rule_is_a_failure(edge: Verified, topology: Topology) -> None:
    """In the family that it is of."""
    edge.apply(FTP)
    rule = "ip6tables-nft -t raw -I PREROUTING -p tcp --dport 21 -j CT --notrack"
    topology.router.run(rule.split())
    found = edge.verify("--no-probe", expect=1)
    assert found["ftp", "ipv4"]["result"] == "proven"
    assert found["ftp", "ipv6"]["result"] == "failed"
    assert "no helper can see it" in found["ftp", "ipv6"]["words"]


def test_damage_is_a_failure(nft_edge: Verified, topology: Topology) -> None:
    """The kernel's own state is read, whatever was applied."""
    nft_edge.apply(FTP)
    topology.router.nft("flush chain inet ctherd prerouting")
    found = nft_edge.verify("--no-probe", expect=1)
    assert all(each["result"] == "failed" for each in found.values())


# -- how long it counts ----------------------------------------------------------------------------


def test_evidence_survives_and_goes_stale(edge: Verified, topology: Topology) -> None:
    """It is shown by another process; what is beside the point leaves it, a new rule does not."""
    edge.apply(FTP)
    said = edge.verify("--no-probe")["ftp", "ipv4"]
    shown = edge.shown()["ftp", "ipv4"]
    assert {**shown, "stale": ""} == {name: said[name] for name in shown}
    assert shown["stale"] == "" and shown["kernel"] and shown["when"]
    edge.apply(FTP, TFTP)
    assert edge.shown()["ftp", "ipv4"]["stale"] == ""
    topology.router.nft("add chain inet cthlab more { type filter hook forward priority 5; }")
    assert edge.shown()["ftp", "ipv4"]["stale"] == "the ruleset has changed since"
    topology.router.nft("delete chain inet cthlab more")
    assert edge.shown()["ftp", "ipv4"]["stale"] == ""
    assert "proven" in edge.ctherd("show")


def test_traffic_makes_nothing_stale(nft_edge: Verified, topology: Topology) -> None:
    """What rules count, and what comes into sets by itself, is no change of them."""
    topology.router.nft(COUNTING)
    nft_edge.apply(FTP)
    nft_edge.verify("--no-probe")
    before = topology.router.run(["nft", "list", "table", "inet", "counting"]).stdout
    topology.client.run(["ping", "-c", "1", str(topology.router.v4)])
    assert topology.router.run(["nft", "list", "table", "inet", "counting"]).stdout != before
    assert nft_edge.shown()["ftp", "ipv4"]["stale"] == ""


def test_a_changed_assignment_is_stale(edge: Verified) -> None:
    """What was proven of any destination says nothing of some."""
    edge.apply(FTP)
    edge.verify("--no-probe")
    edge.apply((*FTP, ["198.51.100.0/24"]))
    assert edge.shown()["ftp", "ipv4"]["stale"] == "the assignment has changed since"


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_rules_of_iptables_make_it_stale(
    nft_edge: Verified, topology: Topology, variant: str
) -> None:
    """Of either variant, though only one of them has a generation."""
    nft_edge.apply(FTP)
    topology.router.run([f"iptables-{variant}", "-A", "FORWARD", "-j", "ACCEPT"])
    nft_edge.verify("--no-probe")
    assert nft_edge.shown()["ftp", "ipv4"]["stale"] == ""
    topology.router.run([f"iptables-{variant}", "-I", "FORWARD", "-p", "tcp", "-j", "DROP"])
    assert nft_edge.shown()["ftp", "ipv4"]["stale"] == "the ruleset has changed since"


def test_beside_an_agent(topology: Topology, host: Host, only_agent: None) -> None:
    """Its table is guarded and its state directory locked; it keeps the evidence and shows it."""
    netns = topology.router.name
    host.declare({netns: [FTP]})
    with host.agent():
        answer = json.loads(host.ctherd("verify", netns, "-o", "json"))
        (router,) = answer["routers"]
        assert {each["result"] for each in router["evidence"]} == {"proven"}
        assert {each["proof"] for each in router["evidence"]} == {"probe"}
        (shown,) = host.show()
        (ftp,) = shown["assignments"]
        assert ftp["evidence"].keys() == {"ipv4", "ipv6"}
        topology.router.nft("add table inet other; add chain inet other c")
        assert becomes(lambda: "stale" in host.ctherd("show"))
        host.ctherd("verify", "nowhere", expect=1)


def test_the_host_itself(topology: Topology, host: Host) -> None:
    """The namespace in which ctherd runs may be a router as well, and is verified like one."""
    herd = {"helpers": [{"helper": "ftp", "protocol": "tcp", "port": 21}], "netns": "host"}
    herd_file = host.command.herd
    herd_file.write_text(json.dumps({"version": 1, "routers": [{"name": "me", **herd}]}))
    config = host.command.directory / "ctherd.toml"
    config.write_text(config.read_text().replace("[policy]\n", "[policy]\nallow_host = true\n"))
    ctherd = [*CTHERD, "--config", str(config)]
    topology.router.run([*ctherd, "apply", "-f", str(herd_file)])
    done = topology.router.run([*ctherd, "verify", "me", "-f", str(herd_file), "-o", "json"])
    (router,) = json.loads(done.stdout)["routers"]
    assert {(each["result"], each["proof"]) for each in router["evidence"]} == {("proven", "probe")}


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host with a herd file and a state directory of its own."""
    return Host(tmp_path_factory.mktemp("host"))
