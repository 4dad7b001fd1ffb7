"""What an assignment risks: each reason counts what the page on safe scope says."""

import pytest

from ctherd.model.assignment import ANY, AssignmentKey, Destinations, collapse, parse_prefix
from ctherd.model.catalog import HELPERS, Protocol, Risk
from ctherd.model.document import HOST, NetnsName
from ctherd.model.safe_scope import WIDE, AntiSpoofing, SafeScope
from ctherd.plan.risk import score, warnings

TFTP = AssignmentKey(Protocol.UDP, 69, "tftp")
FTP = AssignmentKey(Protocol.TCP, 21, "ftp")
IRC = AssignmentKey(Protocol.TCP, 6667, "irc")
SIP = AssignmentKey(Protocol.UDP, 5060, "sip")
NETNS = NetnsName("n")
NARROW = SafeScope(related=True, not_from=("qg-*",))


def scope(*prefixes: str) -> Destinations:
    return collapse(map(parse_prefix, prefixes))


@pytest.mark.parametrize(
    ("netns", "key", "destinations", "narrowing", "points", "level"),
    [
        (NETNS, TFTP, scope("192.0.2.1"), NARROW, 1, Risk.LOW),
        (NETNS, FTP, scope("192.0.2.1"), NARROW, 3, Risk.LOW),
        (NETNS, SIP, scope("192.0.2.1"), NARROW, 5, Risk.MEDIUM),
        (NETNS, TFTP, scope("10.0.0.0/8"), NARROW, 3, Risk.LOW),
        (NETNS, TFTP, scope("2001:db8::/31"), NARROW, 3, Risk.LOW),
        (NETNS, TFTP, scope("10.0.0.0/16", "2001:db8::/32"), NARROW, 2, Risk.LOW),
        (NETNS, TFTP, scope("0.0.0.0/0"), NARROW, 4, Risk.MEDIUM),
        (NETNS, TFTP, ANY, NARROW, 5, Risk.MEDIUM),
        (NETNS, IRC, ANY, NARROW, 8, Risk.HIGH),
        (HOST, TFTP, scope("192.0.2.1"), NARROW, 2, Risk.LOW),
        (NETNS, TFTP, scope("192.0.2.1"), WIDE, 3, Risk.LOW),
        (NETNS, TFTP, scope("192.0.2.1"), SafeScope(anti_spoofing=AntiSpoofing.LOOSE), 2, Risk.LOW),
        (HOST, SIP, ANY, WIDE, 12, Risk.HIGH),
    ],
)
def test_the_score_is_a_sum(
    netns: NetnsName,
    key: AssignmentKey,
    destinations: Destinations,
    narrowing: SafeScope,
    points: int,
    level: Risk,
) -> None:
    """Of its reasons, and nothing else; the level follows from it."""
    found = score(netns, key, destinations, narrowing)
    assert (found.points, found.level) == (points, level)
    assert sum(each.points for each in found.reasons) == points
    assert all(each.words for each in found.reasons)


def test_nothing_is_without_risk() -> None:
    """Every helper has at least a point."""
    for helper in HELPERS:
        key = AssignmentKey(helper.protocols[0], 1, helper.name)
        assert score(NETNS, key, scope("192.0.2.1"), NARROW).points >= 1


def test_what_is_warned_of() -> None:
    """Ports of TLS, and any destination for a helper of high risk; nothing else."""
    ftps = AssignmentKey(Protocol.TCP, 990, "ftp")
    assert ["990" in each for each in warnings(ftps, ANY)] == [True]
    assert ["any destination" in each for each in warnings(SIP, ANY)] == [True]
    assert ["any destination" in each for each in warnings(SIP, scope("::/0"))] == [True]
    assert list(warnings(SIP, scope("192.0.2.0/24"))) == []
    assert list(warnings(FTP, ANY)) == []
