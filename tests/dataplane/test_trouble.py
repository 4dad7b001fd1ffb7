"""What keeps helpers from working in a netns, on the real kernel."""

import pytest

from ctherd.dataplane import trouble as module
from ctherd.dataplane.finding import Finding, FindingKind, Place, PortRange, Scope
from ctherd.dataplane.trouble import trouble
from ctherd.lab.namespace import Namespace
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Protocol
from ctherd.netlink.ctnetlink import Statistics
from ctherd.netlink.dialogue import Dialogue

pytestmark = pytest.mark.root

FTP = AssignmentKey(Protocol.TCP, 21, "ftp")
NOTRACK = Finding(
    FindingKind.UNTRACKED,
    Place("ip", "raw", "PREROUTING", 3),
    "keeps it from conntrack",
    Scope("tcp", (PortRange(21, 21),)),
)


def test_a_quiet_netns_has_none(netns_dialogue: Dialogue, netns: Namespace) -> None:
    """Nothing is tracked, nothing expected, nothing foreign."""
    assert list(trouble(netns_dialogue, (), [FTP])) == []


def test_what_is_not_tracked(netns_dialogue: Dialogue) -> None:
    """Of the assignments only those are named whose packets the rule is about."""
    tftp = AssignmentKey(Protocol.UDP, 69, "tftp")
    (told,) = trouble(netns_dialogue, [NOTRACK], [FTP, tftp])
    assert told.startswith("tcp/21 ftp: not tracked") and str(NOTRACK) in told
    assert list(trouble(netns_dialogue, [NOTRACK], [tftp])) == []


def test_tables_that_fill_up(netns_dialogue: Dialogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """From nine tenths on, with both numbers."""
    monkeypatch.setattr(module, "table_load", lambda _: Statistics(90, 100))
    monkeypatch.setattr(module, "expectations", lambda _: {"ftp": 5, "sip": 5})
    monkeypatch.setattr(module, "expectation_limit", lambda: 11)
    full, expected = trouble(netns_dialogue, (), [FTP])
    assert "90 of 100" in full and "10 of 11" in expected
    monkeypatch.setattr(module, "table_load", lambda _: Statistics(89, 100))
    monkeypatch.setattr(module, "expectation_limit", lambda: 12)
    assert list(trouble(netns_dialogue, (), [FTP])) == []
