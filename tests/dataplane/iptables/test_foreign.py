"""Whatever others have in the raw tables stays as it is, whatever we do beside it."""

from pathlib import Path

import pytest

from ctherd.dataplane.iptables import side
from ctherd.errors import DataplaneError
from ctherd.model.assignment import ANY
from ctherd.model.catalog import Family
from ctherd.model.observation import Ownership
from tests.dataplane.contract import (
    FTP,
    IRC,
    MIXED,
    SIP,
    TFTP,
    V4,
    delete,
    make_router,
    succeed,
    whole,
)
from tests.dataplane.world_iptables import IptablesWorld

pytestmark = pytest.mark.root

RULESETS = Path(__file__).parent / "rulesets"


def everything(raw: IptablesWorld) -> list[str]:
    """All rules and chains of all tables and both families, but ours."""
    return [
        line
        for family in Family
        for line in raw.save(family).splitlines()
        if raw.names.chain not in line
    ]


@pytest.mark.parametrize("name", ["docker", "firewalld", "kubernetes", "neutron"])
def test_rulesets_of_others_survive(raw: IptablesWorld, name: str) -> None:
    """Beside Docker's, firewalld's, Kubernetes' or Neutron's rules, nothing but ours ever moves."""
    raw.restore(Family.IPV4, (RULESETS / f"{name}.rules").read_text())
    raw.restore(Family.IPV6, (RULESETS / "ipv6.rules").read_text())
    before = everything(raw)
    router = make_router(raw)
    for desired in ({FTP: ANY, TFTP: V4}, {FTP: MIXED, SIP: ANY, IRC: ANY}, {SIP: ANY}, {}):
        succeed(router.converge(desired))
        assert router.state() == whole(desired)
        assert everything(raw) == before


def test_a_copy_of_our_rule_is_not_ours(raw: IptablesWorld) -> None:
    """Our mark in another chain, on a copy or forged, makes nothing ours: it stays for ever."""
    router = make_router(raw)
    router.converge({FTP: ANY})
    raw.both("-N", "theirs")
    raw.both("-A", "theirs", *raw.rule(FTP))
    raw.both("-A", "PREROUTING", *raw.rule(TFTP))
    raw.both("-A", "OUTPUT", "-p", "udp", *side.jump(raw.names).split()[:4], "-j", "theirs")
    before = everything(raw)
    assert router.state() == whole({FTP: ANY})
    succeed(router.converge({}))
    assert router.state() == whole({})
    assert everything(raw) == before


def test_a_lookalike_of_our_chain_is_not_ours(raw: IptablesWorld) -> None:
    """A chain with a name like ours, even with our mark in it, is somebody else's."""
    router = make_router(raw)
    router.converge({FTP: ANY})
    raw.both("-N", "ctherd-ffffffffffffffffffff")
    raw.both("-A", "ctherd-ffffffffffffffffffff", *raw.rule(TFTP))
    before = everything(raw)
    succeed(router.converge({SIP: ANY}))
    succeed(router.converge({}))
    assert everything(raw) == before


def test_a_foreign_jump_keeps_our_chain_but_not_our_rules(raw: IptablesWorld) -> None:
    """Somebody's rule jumps to our chain: it stays, the chain is emptied, and the rule is named."""
    router = make_router(raw)
    router.converge({FTP: ANY, TFTP: ANY})
    raw.stranger(Family.IPV4, "-N", "theirs")
    raw.stranger(Family.IPV4, "-A", "theirs", "-p", "tcp", "-j", raw.names.chain)
    router.look()
    outcome = router.commit(delete(FTP), delete(TFTP))
    assert isinstance(outcome, DataplaneError)
    assert f"-A theirs -p tcp -j {raw.names.chain}" in outcome.words
    seen = router.look()
    assert (dict(seen.live), seen.ownership) == ({}, Ownership.OURS)
    assert not [line for line in raw.save(Family.IPV4).splitlines() if "CT --helper" in line]
    raw.stranger(Family.IPV4, "-F", "theirs")
    succeed(router.converge({}))
    assert router.state() == whole({})


def test_jumps_stand_behind_what_others_decide(raw: IptablesWorld) -> None:
    """Who puts packets into a zone, or keeps them from conntrack, comes first."""
    raw.both(*["-A", "PREROUTING", "-p", "tcp", "--dport", "21", "-j", "CT", "--zone", "5"])
    router = make_router(raw)
    router.converge({FTP: ANY})
    listed = raw.save(Family.IPV4, "-t", "raw").splitlines()
    rules = [line for line in listed if line.startswith("-A PREROUTING")]
    assert ["zone" in line for line in rules] == [True, False]


def test_jumps_stand_where_packets_come_by(raw: IptablesWorld) -> None:
    """Behind a rule that accepts everything no packet would ever be given a helper."""
    raw.both(*["-A", "PREROUTING", "-m", "comment", "--comment", "stop", "-j", "ACCEPT"])
    router = make_router(raw)
    router.converge({FTP: ANY})
    listed = raw.save(Family.IPV6, "-t", "raw").splitlines()
    rules = [line for line in listed if line.startswith("-A PREROUTING")]
    assert [line.endswith("-j ACCEPT") for line in rules] == [False, True]
    assert router.state() == whole({FTP: ANY})
