"""Flows and expectations by helper, with the conntrack program as witness."""

import ftplib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctherd.dataplane.conntrack import FlowCount, expectation_limit, live_flows, table_load
from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.demo.lab import Lab
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.journal.sqlite import SqliteJournal
from ctherd.lab.namespace import NETNS_DIR, Namespace
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import Protocol
from ctherd.model.document import document
from ctherd.netlink import ctnetlink, wire
from ctherd.netlink.dialogue import Dialogue, Question
from ctherd.netns.directory import NetnsDirectory
from ctherd.netns.enter import entered
from ctherd.reconcile.reconciler import Reconciler

pytestmark = pytest.mark.root


@contextmanager
def helped(lab: Lab, state: Path) -> Iterator[Dialogue]:
    """Let ctherd give the lab's router the helper ftp, and yield a dialogue with its kernel."""
    dataplane = NftablesDataplane(NetnsDirectory(NETNS_DIR))
    journal = SqliteJournal(state / "journal")
    reconciler = Reconciler(dataplane, journal, Guard(Policy()))
    name = lab.net.router.name
    ftp = Assignment(AssignmentId("ftp"), "ftp", Protocol.TCP, 21)
    reconciler.accept([document("edge", name, [ftp])])
    reconciler.reconcile()
    dialogue = dataplane.dialogue(document("edge", name, []).netns)
    try:
        yield dialogue
    finally:
        dataplane.release([document("edge", name, []).netns])
        journal.close()


@contextmanager
def control_connection(lab: Lab) -> Iterator[ftplib.FTP]:
    """Hold a logged-in FTP control connection from the lab's client, in this very process."""
    ftp = ftplib.FTP(timeout=5)
    with lab.net.client.opened() as netns_fd, entered(netns_fd):
        ftp.connect(str(lab.net.server.v4), 21)
    try:
        ftp.login()
        yield ftp
    finally:
        ftp.close()


def witnessed(router: Namespace) -> FlowCount:
    """What the conntrack program says of the helper ftp."""
    flows = router.run(["conntrack", "-L"]).stdout
    expected = router.run(["conntrack", "-L", "expect"]).stdout
    return FlowCount(len(re.findall("helper=ftp", flows)), len(re.findall("helper=ftp", expected)))


def detach_every_helper(dialogue: Dialogue) -> None:
    """Take the helpers away from all flows, which stay: CT_NEW with an empty CTA_HELP_NAME."""
    flows = [
        (message.body[0], bytes(wire.attributes(message.body, 4)[1]))
        for message in dialogue.dump_any(Question(ctnetlink.GET_FLOWS, 0, b"", "list flows"))
    ]
    for family, original in flows:
        body = wire.nested(1, original) + wire.nested(5, wire.string(1, ""))
        dialogue.transport.send(wire.netfilter_message(1 << 8, wire.NLM_F_ACK, 1, family, body))
        (answered,) = wire.messages(dialogue.transport.receive())
        assert wire.answer(answered).errno == 0


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.open() as opened:
        yield opened


def test_an_open_control_connection_is_a_flow_and_its_pasv_an_expectation(
    lab: Lab, tmp_path: Path
) -> None:
    """Both are counted under the kernel's name, and gone when their connection has gone."""
    with helped(lab, tmp_path) as dialogue:
        assert live_flows(dialogue) == {}
        with control_connection(lab) as ftp:
            assert live_flows(dialogue) == {"ftp": FlowCount(1, 0)}
            ftp.sendcmd("PASV")
            assert live_flows(dialogue) == {"ftp": FlowCount(1, 1)}
            assert witnessed(lab.net.router) == FlowCount(1, 1)
            assert table_load(dialogue).entries == 1
        lab.net.router.run(["conntrack", "-F"])
        assert live_flows(dialogue) == {}


def test_a_flow_whose_helper_was_taken_away_is_not_counted(lab: Lab, tmp_path: Path) -> None:
    """The status bit outlives the helper, so the helper itself decides."""
    with helped(lab, tmp_path) as dialogue, control_connection(lab):
        detach_every_helper(dialogue)
        assert "dport=21" in lab.net.router.run(["conntrack", "-L"]).stdout
        assert live_flows(dialogue) == {}


def test_the_limits_of_a_netns_are_read(netns_dialogue: Dialogue) -> None:
    """A netns that tracks nothing yet has limits already."""
    load = table_load(netns_dialogue)
    assert load.entries == 0
    assert load.limit > 0
    assert (expectation_limit() or 0) > 0


def test_a_limit_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    """A kernel whose files say nothing is no error."""
    assert expectation_limit(tmp_path) is None
