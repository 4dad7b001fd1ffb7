"""What the doctor says of a router, on the real kernel; each fault is made, and its cure taken."""

from dataclasses import replace
from pathlib import Path

import pytest

from ctherd.doctor.diagnosis import Severity
from ctherd.doctor.evidence import RouterEvidence
from ctherd.doctor.examine import examine, judge_router
from ctherd.lab.namespace import NETNS_DIR, Namespace
from ctherd.model.document import NetnsName
from ctherd.model.observation import Tag
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.ctnetlink import Statistics
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import TableFlag
from ctherd.netns.directory import NetnsDirectory
from tests.doctor.conftest import Router, declare

pytestmark = pytest.mark.root

FTP = ("ftp", "tcp", 21)
BROKEN_PRIORITY = """
table inet theirs {
  ct helper s { type "sip" protocol udp; }
  chain c {
    type filter hook prerouting priority %d
    udp dport 5060 ct helper set "s"
  }
}
"""


def test_a_healthy_router_has_no_fault(router: Router) -> None:
    """It is said in one line that nothing stands in the way."""
    (said,) = router.examine(FTP)
    assert said.severity is Severity.OK
    assert str(said.subject) == f"edge (netns {router.netns.name})"


@pytest.mark.parametrize("port", [990, 5061])
def test_an_encrypted_port_is_named(router: Router, port: int) -> None:
    """Nobody can read what a helper would have to read there."""
    (said,) = router.wrong(("ftp", "tcp", port) if port == 990 else ("sip", "tcp", port))
    assert str(port) in said.what
    assert said.subject.assignment.startswith(f"tcp/{port}")


def test_a_helper_for_own_sockets_is_worth_a_note(router: Router) -> None:
    """On a router netbios-ns does nothing, which is no fault of the router."""
    (said,) = router.notes(("netbios-ns", "udp", 137))
    assert "forwarded" in said.what
    assert router.wrong(("netbios-ns", "udp", 137)) == []


def test_an_absent_netns_is_named_once() -> None:
    """Nothing else can be said of it."""
    said = examine(NetnsDirectory(NETNS_DIR), [declare("ctest-nowhere", FTP)])
    (said_of_router,) = [each for each in said if each.subject.router]
    assert said_of_router.severity is Severity.WARNING
    assert said_of_router.cure == "ip netns add ctest-nowhere"


def test_a_name_that_leads_elsewhere_is_an_error_with_its_reason(tmp_path: Path) -> None:
    """A link is not followed, and the doctor goes on with the other routers."""
    (tmp_path / "q1").symlink_to("/proc/self/ns/net")
    documents = [declare("q1", FTP), replace(declare("q2", FTP))]
    said = [each for each in examine(NetnsDirectory(tmp_path), documents) if each.subject.router]
    assert [each.severity for each in said] == [Severity.ERROR, Severity.WARNING]
    assert "symbolic link" in said[0].what


def test_an_empty_netns_is_named(bare_netns: Namespace, router: Router) -> None:
    """First its interfaces are missed, then its addresses."""
    bare_netns.run(["ip", "link", "set", "wan", "down"])
    (said,) = router.wrong()
    assert "no interface" in said.what
    bare_netns.run(["ip", "link", "set", "wan", "up"])
    bare_netns.run(["ip", "address", "flush", "dev", "wan", "scope", "global"])
    (said,) = router.wrong()
    assert "no address" in said.what
    bare_netns.run(["ip", "address", "add", "2001:db8::1/64", "dev", "wan", "nodad"])
    assert router.wrong() == []


def test_a_netns_that_does_not_forward_is_worth_a_note(router: Router) -> None:
    """It may be meant so; the cure switches forwarding on."""
    router.netns.set_sysctl("ipv4/ip_forward", 0)
    (said,) = router.notes()
    assert "IPv4 and IPv6" in said.what
    router.take(said.cure)
    assert router.notes() == []


def test_a_nearly_full_conntrack_table_is_named(router: Router) -> None:
    """More than nine tenths are too many; a kernel that names no limit has none that we know."""
    evidence = RouterEvidence(declare("q1", FTP), load=Statistics(901, 1000))
    (said,) = [each for each in judge_router(evidence) if each.severity.is_wrong]
    assert "901 of 1000" in said.what
    for fine in (Statistics(900, 1000), Statistics(5, 0)):
        assert not any(
            each.severity.is_wrong for each in judge_router(replace(evidence, load=fine))
        )


def test_the_old_automatic_assignment_is_named(router: Router, fake_proc: Path) -> None:
    """Older kernels have a sysctl for it; 0 is as it should be."""
    sysctl = fake_proc / "sys/net/netfilter/nf_conntrack_helper"
    sysctl.parent.mkdir(parents=True)
    sysctl.write_text("1\n", encoding="ascii")
    (said,) = router.wrong(proc=fake_proc)
    assert "by itself" in said.what
    sysctl.write_text("0\n", encoding="ascii")
    assert router.wrong(proc=fake_proc) == []


@pytest.mark.parametrize("family", ["iptables-nft", "iptables-legacy"])
def test_a_raw_rule_that_wins_is_a_warning_to_its_assignment(router: Router, family: str) -> None:
    """Another helper on the same port defeats ours; the cure removes the rule."""
    rule = "PREROUTING -p tcp --dport 21 -j CT --helper irc"
    router.netns.run([family, "-t", "raw", "-A", *rule.split()])
    (said,) = router.wrong(FTP, ("sip", "udp", 5060))
    assert said.subject.assignment == "tcp/21 ftp"
    assert "irc" in said.what
    assert router.wrong(("sip", "udp", 5060)) == []
    router.take(said.cure)
    assert router.wrong(FTP) == []


def test_a_raw_rule_for_the_same_helper_is_worth_a_note(router: Router) -> None:
    """Who wins makes no difference then."""
    rule = "PREROUTING -p tcp --dport 21 -j CT --helper ftp"
    router.netns.run(["iptables-nft", "-t", "raw", "-A", *rule.split()])
    assert router.wrong(FTP) == []
    assert len(router.notes(FTP)) == 1


def test_untracked_traffic_matters_where_something_is_declared(router: Router) -> None:
    """DNS is often left untracked, and FTP should never be."""
    router.netns.nft(
        "table ip theirs { chain c { type filter hook prerouting priority -300\n"
        "udp dport 53 notrack\n iifname lo notrack\n }\n }"
    )
    assert router.wrong(FTP) == []
    assert len(router.notes(FTP)) == 2
    router.netns.nft("add rule ip theirs c tcp sport 21 notrack\n")
    (said,) = router.wrong(FTP)
    assert "tcp/21" in said.what
    router.take(said.cure)
    assert router.wrong(FTP) == []


@pytest.mark.parametrize("priority", [-300, -100, 0])
def test_a_wrong_priority_of_a_foreign_rule_is_a_warning(router: Router, priority: int) -> None:
    """Its author takes it for effective, whatever ctherd declares."""
    router.netns.nft(BROKEN_PRIORITY % priority)
    (said,) = router.wrong(FTP)
    assert "-150" in said.why
    router.take(said.cure)
    assert router.wrong(FTP) == []


def test_a_legacy_table_that_cannot_be_read_is_a_warning(
    router: Router, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The cure brings the program that reads it."""
    router.netns.run(["iptables-legacy", "-t", "raw", "-L"])
    monkeypatch.setenv("PATH", str(tmp_path))
    (said,) = router.wrong()
    assert said.cure == "apt install iptables"


def test_a_table_like_ours_is_worth_a_note(router: Router) -> None:
    """It is in nobody's way."""
    router.netns.nft("add table ip ctherd")
    assert router.wrong() == []
    assert len(router.notes()) == 1


def test_a_foreign_table_of_our_name_is_an_error(router: Router) -> None:
    """It stays untouched until its owner, or the operator, takes it away."""
    router.netns.nft("add table inet ctherd")
    (said,) = router.wrong()
    assert said.severity is Severity.ERROR
    router.take(said.cure)
    assert router.wrong() == []


def test_a_mark_is_compared_with_the_journal_where_there_is_one(router: Router) -> None:
    """Without the journal nobody can tell a forged mark from ours."""
    router.netns.nft('table inet ctherd { comment "ctherd 1234"; }')
    name = NetnsName(router.netns.name)
    assert router.wrong() == []
    assert router.wrong(tags={name: Tag("1234")}) == []
    assert len(router.wrong(tags={name: Tag("9999")})) == 1
    assert len(router.wrong(tags={})) == 1


def test_a_claimed_table_names_its_holder(router: Router) -> None:
    """A table that the kernel guards for somebody else cannot be deleted, so no cure is offered."""
    holder = NetnsDirectory(NETNS_DIR).open(NetnsName(router.netns.name))
    table = nft.new_table("ctherd", TableFlag.OWNER, "", exclusive=True)
    assert Dialogue(holder.transport, holder.name).commit([table], None) == []
    (said,) = router.wrong(describe_port=lambda netns, port: f"process of port {port}")
    assert f"process of port {holder.transport.portid}" in said.what
    assert said.cure == ""
    holder.close()
    assert router.wrong() == []
