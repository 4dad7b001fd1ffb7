"""iptables hosts as their users see them: traffic, agents, and a change of the dataplane."""

import re
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from ctherd.demo.lab import Lab
from ctherd.demo.transfers import FTP_ACTIVE_V4, FTP_PASSIVE_V4, FTP_PASSIVE_V6, WAYS
from ctherd.lab.namespace import Namespace
from tests.kernel.host import FTP, TFTP, Host, becomes

VARIANTS = ("iptables-nft", "iptables-legacy")
DATAPLANES = ("nftables", *VARIANTS)

ROUND = ("nftables", "iptables-nft", "iptables-legacy", "nftables", "iptables-legacy",
         "iptables-nft", "nftables")  # fmt: skip


def rules(netns: Namespace, variant: str, family: str = "iptables") -> list[str]:
    """Our rules in the raw table of one family, as the program of *variant* prints them."""
    saved = netns.run([f"{family}-{variant.partition('-')[2]}-save", "-t", "raw"]).stdout
    return re.findall(r"^-A ctherd-\S+ (.*)$", saved, re.MULTILINE)


def has_table(netns: Namespace) -> bool:
    return "table inet ctherd" in netns.run(["nft", "list", "tables"]).stdout


def holders(netns: Namespace) -> set[str]:
    """The dataplanes that hold something of ours."""
    found = {"nftables"} if has_table(netns) else set()
    return found | {each for each in VARIANTS if rules(netns, each)}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_way_works_through_it(lab: Lab, host: Host, variant: str) -> None:
    """FTP and TFTP, active and passive, through NAT and over IPv6."""
    host.declare({lab.net.router.name: [FTP, TFTP]})
    host.ctherd("--dataplane", variant, "apply", "-f", str(host.command.herd))
    attempts = [lab.attempt(way) for way in WAYS]
    assert [str(each) for each in attempts if not each.succeeded] == []
    assert holders(lab.net.router) == {variant}


@pytest.mark.slow
def test_the_dataplane_is_changed_under_traffic(lab: Lab, host: Host) -> None:
    """From each to each other one, and no flow that begins meanwhile is without its helper."""
    router = lab.net.router
    host.declare({router.name: [FTP, TFTP]})
    apply = ("apply", "-f", str(host.command.herd))
    host.ctherd("--dataplane", ROUND[0], *apply)
    assert {*pairwise(ROUND)} == {(a, b) for a in DATAPLANES for b in DATAPLANES if a != b}
    attempts = []
    with ExitStack() as stack:
        ways = (FTP_PASSIVE_V4, FTP_ACTIVE_V4, FTP_PASSIVE_V6)
        loops = [stack.enter_context(lab.loop(way)) for way in ways]
        for dataplane in ROUND[1:]:
            assert "still holds" in host.ctherd("--dataplane", dataplane, *apply)
            assert holders(router) == {dataplane}
            assert "nothing changed" in host.ctherd("--dataplane", dataplane, *apply)
            now_s = time.monotonic()
            attempts += [each for loop in loops for each in loop.follow(now_s, 3)]
    assert len(attempts) >= 3 * 3 * len(ROUND[1:])
    assert [str(each) for each in attempts if not each.succeeded] == []


def test_an_agent_takes_over_a_guarded_table(netns: Namespace, host: Host) -> None:
    """The former agent guarded its table; the next one serves the same router by iptables."""
    host.declare({netns.name: [FTP]})
    with host.agent():
        assert has_table(netns)
    for variant in VARIANTS:
        with host.agent("--dataplane", variant):
            assert holders(netns) == {variant}
    with host.agent():
        assert holders(netns) == {"nftables"}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", ["iptables", "ip6tables"])
def test_drift_is_repaired(netns: Namespace, host: Host, variant: str, family: str) -> None:
    """By the kernel's events where there are any, else by the next sweep."""
    config = host.command.directory / "ctherd.toml"
    sweep = 3600 if variant == "iptables-nft" else 0.2
    config.write_text(f"sweep_interval_s = {sweep}\n{config.read_text()}")
    host.declare({netns.name: [FTP, TFTP]})
    with host.agent("--dataplane", variant):
        before = rules(netns, variant, family)
        assert len(before) == 2
        netns.run([variant.replace("iptables", family), "-w", "5", "-t", "raw", "-F"])
        assert becomes(lambda: rules(netns, variant, family) == before)
        said = "drift repaired" if variant == "iptables-nft" else "repaired: "
        assert becomes(lambda: said in Path(host.command.log).read_text())


@pytest.mark.parametrize("dataplane", DATAPLANES)
def test_what_is_chosen_is_told(netns: Namespace, host: Host, dataplane: str) -> None:
    """`show` says which dataplane it is and why; what is ours is not shown as foreign."""
    others = [f'"{each}"' for each in DATAPLANES if each == dataplane]
    config = host.command.directory / "ctherd.toml"
    config.write_text(f"dataplanes = [{', '.join(others)}]\n{config.read_text()}")
    host.declare({netns.name: [FTP]})
    words = ("-f", str(host.command.herd))
    host.ctherd("apply", *words)
    assert holders(netns) == {dataplane}
    shown = host.ctherd("show", *words)
    assert f"dataplane {dataplane}: auto" in shown
    assert ("not nftables: `dataplanes` does not allow it" in shown) is (dataplane != "nftables")
    assert "foreign" not in shown
    assert "active" in shown
    refused = next(each for each in DATAPLANES if each != dataplane)
    answer = host.ctherd("--dataplane", refused, "apply", *words, expect=1)
    assert f"dataplane {refused} is not allowed on this machine" in answer


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_lost_journal_is_reclaimed(netns: Namespace, host: Host, variant: str) -> None:
    """Without the journal our chain is foreign; reclaim takes it for ours again."""
    host.declare({netns.name: [FTP]})
    words = ("-f", str(host.command.herd))
    host.ctherd("--dataplane", variant, "apply", *words)
    before = rules(netns, variant)
    (host.command.state / "journal.sqlite").unlink()
    assert "which is not ours here" in host.ctherd(
        "--dataplane", variant, "apply", *words, expect=1
    )
    host.ctherd("--dataplane", variant, "reclaim", *words, "--yes")
    assert "adopt" in host.ctherd("--dataplane", variant, "apply", *words)
    assert rules(netns, variant) == before
