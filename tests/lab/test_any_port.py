"""Exchanges of our own need no usual port: who proves a helper elsewhere can reuse them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from threading import Event

import pytest

from ctherd.lab.case import Case, Session
from ctherd.lab.exchanges import amanda, irc, irc_relay, pptp, sane, sane_server, snmp, snmp_trap
from ctherd.lab.proof import prove
from ctherd.lab.result import Verdict
from ctherd.lab.topology import Topology
from ctherd.main.lab import hire
from ctherd.model.catalog import Family

pytestmark = [pytest.mark.root, pytest.mark.slow]

_PORT = 4711

Opening = Callable[[Topology], AbstractContextManager[Session]]

_OPENINGS: list[tuple[Case, Opening]] = [
    (irc.CASES[-1], lambda net: irc.session(net.client, net.server, _PORT, irc_relay.relay)),
    (pptp.CASES[-1], lambda net: pptp.session(net.client, net.server, _PORT)),
    (
        amanda.CASES[-1],
        lambda net: amanda.session(net.client, net.server, Family.IPV6, _PORT),
    ),
    (
        sane.CASES[-1],
        lambda net: sane.session(
            net.client, net.server, Family.IPV6, _PORT, sane_server.own_server
        ),
    ),
    (snmp.CASES[-1], lambda net: snmp.session(net.client, net.server, _PORT)),
    (snmp_trap.CASES[-1], lambda net: snmp_trap.session(net.client, net.server, _PORT)),
]


@pytest.mark.parametrize(("case", "opening"), _OPENINGS, ids=lambda each: getattr(each, "name", ""))
def test_a_helper_is_proven_at_another_port(case: Case, opening: Opening) -> None:
    """The exchange needs the helper at any port that it is assigned to, and no other software."""
    assert case.needs == ()
    result = prove(replace(case, port=_PORT, open=opening), "nftables", hire, Event())

    assert result.verdict is Verdict.PROVEN, result.why
