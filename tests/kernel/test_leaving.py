"""Coming and going: what Neutron left is taken over, what we left is removed."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ctherd import process
from ctherd.demo.command_line import CTHERD
from ctherd.demo.lab import Lab
from ctherd.demo.transfers import FTP_PASSIVE_V4
from ctherd.lab.namespace import Namespace
from ctherd.lab.topology import Topology
from tests.kernel.conftest import MakeNetns
from tests.kernel.host import FTP, TFTP, Host

VARIANTS = ("iptables-nft", "iptables-legacy")
DATAPLANES = ("nftables", *VARIANTS)
RULESETS = Path(__file__).parents[1] / "dataplane" / "iptables" / "rulesets"


@dataclass
class Island:
    """A host of its own: a netns directory in which only its namespaces are, one of them home.

    `uninstall` looks at every netns there is, also at the one it runs in.
    """

    host: Host
    home: Namespace
    one: Namespace
    two: Namespace

    def ctherd(self, *words: str, expect: int = 0) -> str:
        config = str(self.host.command.directory / "ctherd.toml")
        completed = self.home.run(
            [*CTHERD, "--config", config, *words], timeout_s=60.0, check=False
        )
        assert completed.returncode == expect, completed.output
        return completed.output


@pytest.fixture
def island(make_netns: MakeNetns, host: Host, tmp_path: Path) -> Iterator[Island]:
    made = Island(host, make_netns(), make_netns(), make_netns())
    directory = tmp_path / "netns"
    directory.mkdir()
    config = host.command.directory / "ctherd.toml"
    config.write_text(f'netns_dir = "{directory}"\n{config.read_text()}')
    with ExitStack() as stack:
        for netns in (made.one, made.two):
            place = directory / netns.name
            place.touch()
            process.run(["mount", "--bind", f"/run/netns/{netns.name}", str(place)])
            stack.callback(process.run, ["umount", str(place)], check=False)
        yield made


def everything(netns: Namespace) -> str:
    """All rulesets of a netns, without what iptables makes on any use and never removes."""
    said = netns.run(["nft", "list", "ruleset"]).stdout
    for variant in ("iptables-legacy-save", "ip6tables-legacy-save"):
        said += "".join(
            line
            for line in netns.run([variant]).stdout.splitlines(True)
            if not line.startswith(("#", ":PREROUTING", ":OUTPUT", "*raw", "COMMIT"))
        )
    return said


def load(netns: Namespace, variant: str, name: str) -> None:
    """Load one of the rulesets that other tools leave."""
    program = f"{variant}-restore"
    netns.run([program, "-w", "5"], input=(RULESETS / f"{name}.rules").read_text())


def neutron_chains(netns: Namespace, variant: str) -> int:
    return netns.run([f"{variant}-save", "-t", "raw"]).stdout.count(":neutron-l3-agent-cth")


# -- uninstall -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataplane", DATAPLANES)
def test_uninstall_leaves_nothing_of_ours(island: Island, dataplane: str) -> None:
    """It shows what it would do, needs --yes, and spares everything foreign."""
    host, one, two = island.host, island.one, island.two
    for netns in (one, two):
        for variant in VARIANTS:
            load(netns, variant, "docker")
    host.declare({one.name: [FTP, TFTP], two.name: [FTP]})
    before = [everything(netns) for netns in (one, two)]
    island.ctherd("--dataplane", dataplane, "apply", "-f", str(host.command.herd))
    said = island.ctherd("uninstall")
    assert f"netns {one.name}, {dataplane}: tcp/21 ftp, udp/69 tftp (recorded)" in said
    assert "repeat with --yes" in said
    assert "ctherd" in everything(two)
    said = island.ctherd("uninstall", "--yes")
    assert f"netns {two.name}, {dataplane}: removed tcp/21 ftp (recorded)" in said
    for netns, old in zip((one, two), before, strict=True):
        assert "ctherd" not in everything(netns)
        assert everything(netns).replace(IPV6_RAW, "") == old.replace(IPV6_RAW, "")
    assert one.name not in island.ctherd("uninstall", "--yes")


# The table that iptables makes on any use.
IPV6_RAW = """table ip6 raw {
	chain PREROUTING {
		type filter hook prerouting priority raw; policy accept;
	}

	chain OUTPUT {
		type filter hook output priority raw; policy accept;
	}
}
"""


def test_uninstall_finds_what_no_journal_knows(island: Island) -> None:
    """A mark that the journal does not know is shown, and removed only if that is asked for."""
    host, netns = island.host, island.one
    host.declare({netns.name: [FTP]})
    for dataplane in DATAPLANES:
        island.ctherd("--dataplane", dataplane, "apply", "-f", str(host.command.herd))
        (host.command.state / "journal.sqlite").unlink()
    said = island.ctherd("uninstall", "--yes")
    for dataplane in DATAPLANES:
        assert f"netns {netns.name}, {dataplane}: tcp/21 ftp (not in the journal" in said
    assert "ctherd" in everything(netns)
    island.ctherd("uninstall", "--yes", "--unrecorded")
    assert "ctherd" not in everything(netns)


def test_uninstall_forgets_the_dead(island: Island, tmp_path: Path) -> None:
    """A netns that is gone has nothing left; the journal lets it go."""
    netns = island.one
    island.host.declare({netns.name: [FTP]})
    island.ctherd("apply", "-f", str(island.host.command.herd))
    assert netns.name in island.ctherd("show")
    process.run(["umount", str(tmp_path / "netns" / netns.name)])
    (tmp_path / "netns" / netns.name).unlink()
    island.ctherd("uninstall", "--yes")
    assert netns.name not in island.ctherd("show")


# -- migrate ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dataplane", DATAPLANES)
@pytest.mark.parametrize("theirs", VARIANTS)
def test_neutron_is_taken_over_under_traffic(
    topology: Topology, host: Host, theirs: str, dataplane: str
) -> None:
    """Shown first, then made, then removed there; what else Neutron has stays."""
    router = topology.router
    load(router, theirs, "neutron")
    host.declare({router.name: [FTP, TFTP]})
    words = ("--dataplane", dataplane, "migrate", "--from", "neutron", "-f", str(host.command.herd))
    said = host.ctherd(*words)
    assert "make tcp/21 ftp" in said and "repeat with --yes" in said
    assert f"remove chain neutron-l3-agent-cth-0b7bd3c ({theirs}, ipv4)" in said
    assert neutron_chains(router, theirs) == 3
    said = host.ctherd(*words, "--yes")
    assert "made udp/69 tftp" in said
    assert neutron_chains(router, theirs) == 0
    left = router.run([f"{theirs}-save"]).stdout
    assert "-A PREROUTING -j neutron-l3-agent-PREROUTING" in left
    assert "-A neutron-l3-agent-PREROUTING -d 203.0.113.9/32 -j DNAT" in left
    assert "nothing to change" in host.ctherd(
        "--dataplane", dataplane, "plan", "-f", str(host.command.herd)
    )
    assert f"netns {router.name}" not in host.ctherd(*words)


@pytest.mark.slow
def test_no_flow_is_without_its_helper_meanwhile(lab: Lab, host: Host) -> None:
    """Neutron's helper serves until ours does."""
    router = lab.net.router
    load(router, "iptables-nft", "neutron")
    router.run(["iptables-nft", "-t", "nat", "-F"])
    host.declare({router.name: [FTP, TFTP]})
    words = ("--dataplane", "iptables-nft", "migrate", "--from", "neutron", "-f",
             str(host.command.herd), "--yes")  # fmt: skip
    with lab.loop(FTP_PASSIVE_V4) as loop:
        attempts = loop.follow(0.0, 3)
        host.ctherd(*words)
        attempts += loop.follow(attempts[-1].started_s, 20)
    assert [str(each) for each in attempts if not each.succeeded] == []
    assert neutron_chains(router, "iptables-nft") == 0


def test_nobody_loses_a_helper_that_is_not_declared(netns: Namespace, host: Host) -> None:
    """What Neutron assigns and the file does not is named, and the netns is left alone."""
    load(netns, "iptables-nft", "neutron")
    host.declare({netns.name: [FTP]})
    words = ("migrate", "--from", "neutron", "-f", str(host.command.herd), "--yes")
    said = host.ctherd(*words, expect=1)
    assert "left alone: not declared: udp/69 tftp" in said
    assert neutron_chains(netns, "iptables-nft") == 3
    host.declare({})
    assert "no router is declared for it" in host.ctherd(*words, expect=1)


def test_what_cannot_be_made_is_not_taken_away(netns: Namespace, host: Host) -> None:
    """The policy denies ours, so theirs stays."""
    load(netns, "iptables-nft", "neutron")
    host.command.configure(kill=["tftp"])
    host.declare({netns.name: [FTP, TFTP]})
    words = ("migrate", "--from", "neutron", "-f", str(host.command.herd), "--yes")
    assert "not everything could be made: nothing was removed" in host.ctherd(*words, expect=1)
    assert neutron_chains(netns, "iptables-nft") == 3


def test_a_rule_that_neutron_never_writes_keeps_its_chain(netns: Namespace, host: Host) -> None:
    """Somebody's own rule in such a chain would be lost: it is named, and nothing happens."""
    load(netns, "iptables-nft", "neutron")
    netns.run(["iptables-nft", "-t", "raw", "-A", "neutron-l3-agent-cth", "-s", "192.0.2.1",
               "-j", "CT", "--notrack"])  # fmt: skip
    host.declare({netns.name: [FTP, TFTP]})
    words = ("migrate", "--from", "neutron", "-f", str(host.command.herd), "--yes")
    said = host.ctherd(*words, expect=1)
    assert "a rule that Neutron does not write: -A neutron-l3-agent-cth -s 192.0.2.1/32" in said
    assert neutron_chains(netns, "iptables-nft") == 3
