"""What others have in a netns: made by their own programs, found by the survey."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctherd.dataplane import survey_legacy
from ctherd.dataplane.finding import Finding, FindingKind, PortRange, as_data
from ctherd.dataplane.survey import survey
from ctherd.lab.namespace import Namespace
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.socket import NetlinkSocket
from ctherd.netns.enter import entered

pytestmark = pytest.mark.root

Look = Callable[[], tuple[Finding, ...]]

FTP_AT = """
table inet theirs {{
  ct helper f {{ type "ftp" protocol tcp; }}
  chain c {{
    type filter hook {hook} priority {priority}
    {rule}
  }}
}}
"""


@pytest.fixture
def look(netns: Namespace, netns_dialogue: Dialogue) -> Iterator[Look]:
    """A function that surveys ``netns``."""
    with netns.opened() as netns_fd:
        yield lambda: survey(netns_dialogue, netns_fd)


def the_only(findings: tuple[Finding, ...]) -> Finding:
    (finding,) = findings
    return finding


def test_an_untouched_netns_shows_nothing(look: Look) -> None:
    """Neither tables nor iptables-legacy are there, and looking makes none."""
    assert look() == ()
    assert look() == ()


def test_rules_that_have_nothing_to_do_with_helpers_are_not_found(
    netns: Namespace, look: Look
) -> None:
    """A firewall is nobody's business here."""
    netns.nft(
        "table inet fw { chain f { type filter hook forward priority 0; policy drop;"
        " tcp dport { 22, 80-90 } counter accept\n }\n }"
    )
    netns.run(["iptables-nft", "-A", "FORWARD", "-p", "tcp", "--dport", "21", "-j", "ACCEPT"])
    netns.run(["iptables-nft", "-t", "raw", "-A", "PREROUTING", "-j", "CT", "--zone", "7"])
    assert look() == ()


def test_our_own_table_is_no_finding(netns: Namespace, look: Look) -> None:
    """What stands in it is the planner's affair."""
    netns.nft(
        FTP_AT.format(
            hook="prerouting", priority=-150, rule='tcp dport 21 ct helper set "f"'
        ).replace("inet theirs", "inet ctherd")
    )
    assert look() == ()


@pytest.mark.parametrize(
    ("hook", "priority", "kind"),
    [
        ("prerouting", -300, FindingKind.HELPER_WITHOUT_EFFECT),
        ("prerouting", -200, FindingKind.HELPER_WITHOUT_EFFECT),
        ("output", -201, FindingKind.HELPER_WITHOUT_EFFECT),
        ("prerouting", -199, FindingKind.HELPER_FIRST),
        ("prerouting", -150, FindingKind.HELPER_FIRST),
        ("output", -149, FindingKind.HELPER_LATER),
        ("prerouting", -101, FindingKind.HELPER_LATER),
        ("prerouting", -100, FindingKind.HELPER_AFTER_NAT),
        ("output", 0, FindingKind.HELPER_AFTER_NAT),
        ("forward", -150, FindingKind.HELPER_AFTER_NAT),
    ],
)
def test_a_native_assignment_is_judged_by_its_hook_and_priority(
    netns: Namespace, look: Look, hook: str, priority: int, kind: FindingKind
) -> None:
    """Conntrack, ctherd and destination NAT come at −200, −150 and −100."""
    rule = 'tcp dport 21 ct helper set "f"'
    netns.nft(FTP_AT.format(hook=hook, priority=priority, rule=rule))
    found = the_only(look())
    assert found.kind is kind
    assert found.helper == "ftp"
    assert found.scope.protocol == "tcp"
    assert found.scope.ports == (PortRange(21, 21),)
    assert str(priority) in found.sentence


@pytest.mark.parametrize(
    ("rule", "ports", "interface"),
    [
        ("tcp dport 21", "21", ""),
        ("tcp dport { 2121, 21 }", "21,2121", ""),
        ("tcp dport { 20-22, 2121 }", "20-22,2121", ""),
        ("tcp dport 20-22", "20-22", ""),
        ("tcp dport >= 60000", "60000-65535", ""),
        ("tcp dport != 21", "", ""),
        ("tcp dport != { 21 }", "", ""),
        ("tcp sport 21", "21", ""),
        ("tcp sport 1024-65535 tcp dport 21", "21", ""),
        ("ip saddr 10.0.0.0/8 tcp dport 21", "21", ""),
        ("tcp dport & 0xfff0 == 16", "", ""),
        ("ct mark 21", "", ""),
        ('iifname "lo"', "", "lo"),
        ("iif lo", "", "lo"),
        ('iifname != "lo"', "", ""),
    ],
)
def test_ports_are_decoded_where_that_is_cheap_and_never_narrowed(
    netns: Namespace, look: Look, rule: str, ports: str, interface: str
) -> None:
    """What is not understood leaves all ports possible."""
    rule = f'{rule} ct helper set "f"'
    netns.nft(FTP_AT.format(hook="prerouting", priority=-150, rule=rule))
    scope = the_only(look()).scope
    assert ",".join(map(str, scope.ports)) == ports
    assert scope.interface == interface


@pytest.mark.parametrize(
    ("map_", "ports"),
    [
        ('tcp dport map { 21 : "f", 2121 : "f" }', "21,2121"),
        ('tcp dport map { 20-22 : "f" }', "20-22"),
        ('meta l4proto . th dport map { tcp . 21 : "f" }', "21"),
        ('ip daddr map { 192.0.2.1 : "f" }', ""),
    ],
)
def test_an_object_map_is_read(netns: Namespace, look: Look, map_: str, ports: str) -> None:
    """A map that looks like ours is one finding per helper, not one per element."""
    rule = f"ct helper set {map_}"
    netns.nft(FTP_AT.format(hook="prerouting", priority=-175, rule=rule))
    found = the_only(look())
    assert (found.kind, found.helper) == (FindingKind.HELPER_FIRST, "ftp")
    assert ",".join(map(str, found.scope.ports)) == ports


@pytest.mark.parametrize(
    "jump", ["jump c", "goto c", "tcp dport vmap { 21 : jump c, 22 : accept }"]
)
def test_jumps_lead_to_the_hook(netns: Namespace, look: Look, jump: str) -> None:
    """The hook and priority that count are those of the chain from where packets come."""
    netns.nft(
        'table ip theirs { ct helper f { type "ftp" protocol tcp; }\n'
        'chain c { tcp dport 21 ct helper set "f"\n }\n'
        f"chain base {{ type filter hook prerouting priority -250; {jump}\n }}\n }}"
    )
    assert the_only(look()).kind is FindingKind.HELPER_WITHOUT_EFFECT
    assert "-250" in the_only(look()).sentence


def test_a_chain_that_nothing_jumps_to_has_no_effect(netns: Namespace, look: Look) -> None:
    """It is named all the same: its author expects something of it."""
    netns.nft(
        'table ip theirs { ct helper f { type "ftp" protocol tcp; }\n'
        'chain c { tcp dport 21 ct helper set "f"\n }\n }'
    )
    found = the_only(look())
    assert found.kind is FindingKind.HELPER_WITHOUT_EFFECT
    assert "nothing jumps to" in found.sentence


@pytest.mark.parametrize(
    ("family", "base", "found"),
    [
        ("inet", "prerouting priority -300", True),
        ("ip6", "output priority raw", True),
        ("ip", "prerouting priority -150", False),
        ("ip", "forward priority -300", False),
    ],
)
def test_notrack_counts_before_conntrack_only(
    netns: Namespace, look: Look, family: str, base: str, found: bool
) -> None:
    """Later, conntrack has seen the packet already."""
    netns.nft(
        f"table {family} theirs {{ chain c {{ type filter hook {base};\n"
        "udp dport 53 notrack\n }\n }"
    )
    findings = look()
    assert [each.kind for each in findings] == [FindingKind.UNTRACKED] * found
    assert [str(each.scope) for each in findings] == ["udp/53"] * found


@pytest.mark.parametrize("program", ["iptables-nft", "ip6tables-nft"])
def test_raw_rules_of_iptables_nft_come_first(netns: Namespace, look: Look, program: str) -> None:
    """A helper that the target CT assigns at −300 wins over everything later."""
    rule = "PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp"
    netns.run([program, "-t", "raw", "-A", *rule.split()])
    found = the_only(look())
    assert found.kind is FindingKind.HELPER_FIRST
    assert (found.helper, str(found.scope)) == ("ftp", "tcp/21")
    assert found.place.family == ("ip" if program == "iptables-nft" else "ip6")
    netns.run(found.remove.split())
    assert look() == ()


@pytest.mark.parametrize(
    ("match", "scope"),
    [
        ("-p tcp -m multiport --dports 21,2100:2199", "tcp/21,2100-2199"),
        ("-p tcp -m multiport --sports 21", "tcp/21"),
        ("-p tcp -m multiport ! --dports 21", "tcp"),
        ("-p udp --dport 1000:2000 -d 10.0.0.0/8", "udp/1000-2000"),
        ("-p udp ! --dport 53", "udp"),
        ("-o lo", "any protocol on lo"),
        ("-p icmp", "1"),
    ],
)
def test_untracking_rules_of_iptables_are_read(
    netns: Namespace, look: Look, match: str, scope: str
) -> None:
    """NOTRACK and CT --notrack say the same; both variants of iptables are understood alike."""
    for target in ("NOTRACK", "CT --notrack"):
        for program in ("iptables-nft", "iptables-legacy"):
            netns.run([program, "-t", "raw", "-A", "OUTPUT", *match.split(), "-j", *target.split()])
    findings = look()
    assert [each.kind for each in findings] == [FindingKind.UNTRACKED] * 4
    native, legacy = ({str(each.scope) for each in findings[i : i + 2]} for i in (0, 2))
    assert native == {scope}
    assert legacy == {scope.replace("1", "icmp") if scope == "1" else scope}
    assert [each.place.legacy for each in findings] == [False, False, True, True]


def test_raw_rules_of_iptables_legacy_are_found_where_a_table_is(
    netns: Namespace, look: Look
) -> None:
    """Chains that packets reach count; each finding names the command that removes it."""
    for words in (
        "-N used",
        "-N unused",
        "-A PREROUTING -j used",
        "-A used -p udp -m udp --dport 69 -m comment --comment 'for the labs' -j CT --helper tftp",
        "-A unused -p tcp -m tcp --dport 21 -j CT --helper ftp",
    ):
        netns.run(["sh", "-c", f"iptables-legacy -t raw {words}"])
    found = the_only(look())
    assert found.kind is FindingKind.HELPER_FIRST
    assert (found.helper, str(found.scope), found.place.chain) == ("tftp", "udp/69", "used")
    netns.run(["sh", "-c", found.remove])
    assert look() == ()


def test_a_legacy_table_without_its_program_is_said_to_be_unreadable(
    netns: Namespace, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That nothing could be read is not the same as that nothing is there."""
    netns.run(["ip6tables-legacy", "-t", "raw", "-L"])
    monkeypatch.setenv("PATH", str(tmp_path))
    found = the_only(look())
    assert found.kind is FindingKind.UNREADABLE
    assert "ip6tables-legacy-save is not installed" in found.sentence
    assert found.place.family == "ip6"


def test_a_kernel_without_iptables_legacy_has_nothing_to_read(tmp_path: Path) -> None:
    """Where the kernel lists no legacy tables, no program is run."""
    with Path("/proc/thread-self/ns/net").open() as own:
        assert list(survey_legacy.find(own.fileno(), tmp_path)) == []


def test_a_table_like_ours_is_named_and_not_obeyed(netns: Namespace, look: Look) -> None:
    """Our name in another family, or our mark on another table, is somebody else's."""
    netns.nft('table ip ctherd { }\ntable inet other { comment "ctherd 1234"; }')
    findings = look()
    assert [each.kind for each in findings] == [FindingKind.LOOKALIKE] * 2
    for each in findings:
        netns.run(each.remove.split())
    assert look() == ()


def test_names_that_others_chose_do_no_harm(netns: Namespace, look: Look) -> None:
    """No command is offered that a foreign name could turn into another one."""
    name = "x;\x1b[2J $(id)"
    with netns.opened() as netns_fd, entered(netns_fd):
        theirs = NetlinkSocket()
    request = nft.new_table(name, nft.TableFlag(0), "ctherd 1234", exclusive=True)
    assert Dialogue(theirs, netns.name).commit([request], None) == []
    theirs.close()
    found = the_only(look())
    assert found.place.table == name
    assert found.remove == ""
    assert str(found).isprintable()


def test_looking_changes_nothing(netns: Namespace, look: Look, netns_dialogue: Dialogue) -> None:
    """The ruleset's generation, and the legacy tables, are as before."""
    netns.run(["iptables-nft", "-t", "raw", "-A", "PREROUTING", "-j", "NOTRACK"])
    before = netns_dialogue.generation(), legacy_tables(netns)
    assert len(look()) == 1
    assert (netns_dialogue.generation(), legacy_tables(netns)) == before == (before[0], "")


def legacy_tables(netns: Namespace) -> str:
    return netns.run(["cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]).stdout


def test_a_finding_is_plain_data(netns: Namespace, look: Look) -> None:
    """What `show -o json` prints."""
    netns.run(
        [
            "iptables-nft",
            "-t",
            "raw",
            "-A",
            "PREROUTING",
            "-p",
            "tcp",
            "--dport",
            "21:22",
            "-j",
            "CT",
            "--helper",
            "ftp",
        ]
    )
    shown = as_data(the_only(look()))
    assert shown["kind"] == "helper-first"
    assert shown["ports"] == [[21, 22]]
    assert (shown["family"], shown["table"], shown["chain"]) == ("ip", "raw", "PREROUTING")


def test_rules_are_all_seen_in_a_large_ruleset(netns: Namespace, look: Look) -> None:
    """A ruleset of many datagrams is read to its end."""
    lines = "\n".join(f"tcp dport {port} accept" for port in range(1, 4000))
    netns.nft(
        FTP_AT.format(
            hook="prerouting", priority=-175, rule=f'{lines}\ntcp dport 21 ct helper set "f"'
        )
    )
    assert the_only(look()).helper == "ftp"
