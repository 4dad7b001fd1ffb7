"""A case is proven only by what happened: each way to cheat or to fail shows in the verdict."""

import errno
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

import pytest

from ctherd.errors import PrivilegeMissing
from ctherd.lab import side_by_side
from ctherd.lab.case import Case, NoSession, Program, Session
from ctherd.lab.namespace import NETNS_DIR
from ctherd.lab.proof import Hire, Stopped, prove
from ctherd.lab.result import CaseResult, Phase, Verdict
from ctherd.lab.side_by_side import prove_all
from ctherd.lab.topology import Topology
from ctherd.main.lab import hire
from tests.lab.cases import PASSIVE, Acting, acting, beginning_with, fails, forgetful

pytestmark = pytest.mark.root

HELPER_BY_HAND = """
table inet byhand {
  ct helper watch-ftp { type "ftp" protocol tcp; }
  chain assign {
    type filter hook prerouting priority -150;
    tcp dport 21 ct helper set "watch-ftp"
  }
}
"""


def not_proven(case: Case, hire: Hire = hire) -> CaseResult:
    result = prove(case, "nftables", hire, Event())
    assert result.verdict is Verdict.NOT_PROVEN, result.why
    return result


def worked(result: CaseResult) -> dict[Phase, bool]:
    return {each.phase: each.worked for each in result.phases}


@pytest.mark.parametrize("dataplane", ["nftables", "iptables-nft", "iptables-legacy"])
def test_conntrack_itself_says_what_the_lab_says(dataplane: str) -> None:
    """In each phase `conntrack -L` lists as many flows with the helper as the result says."""
    listed: list[int] = []

    @contextmanager
    def open_it(net: Topology) -> Iterator[Session]:
        def look_and_be_alive() -> bool:
            flows = net.router.run(["conntrack", "-L", "-f", "ipv4"]).stdout
            listed.append(flows.count("helper=ftp"))
            return session.alive()

        with PASSIVE.open(net) as session:
            yield Acting(session.exchange, look_and_be_alive)

    result = prove(replace(PASSIVE, open=open_it), dataplane, hire, Event())
    assert result.verdict is Verdict.PROVEN, result.why
    assert listed == [each.flows for each in result.phases] == [0, 1, 0]


def test_a_helper_that_is_not_assigned_is_not_proven() -> None:
    """Where ctherd says that it assigned, and did not, the exchange fails, and that is told."""
    hands = forgetful(lambda wanted: bool(wanted.assignments))
    result = not_proven(PASSIVE, hands)
    assert worked(result) == {Phase.OFF: False, Phase.ON: False, Phase.REVOKED: False}
    assert "on: the exchange failed: TimeoutError" in result.why
    assert "on: 0 flows name the helper" in result.why


def test_a_helper_that_is_not_revoked_is_not_proven() -> None:
    """Where ctherd says that it revoked, and did not, the exchange still works: that is told."""
    hands = forgetful(lambda wanted: not wanted.assignments)
    result = not_proven(PASSIVE, hands)
    assert worked(result) == {Phase.OFF: False, Phase.ON: True, Phase.REVOKED: True}
    assert "revoked: the exchange worked" in result.why
    assert "revoked: 1 flows name the helper" in result.why
    assert "revoked: 1 expectations were announced" in result.why


def test_an_exchange_that_needs_no_helper_proves_nothing() -> None:
    """Where somebody else assigned the helper already, it works with ctherd's off: not proven."""
    by_hand = beginning_with(PASSIVE, lambda net: net.router.nft(HELPER_BY_HAND))
    assert "off: the exchange worked" in not_proven(by_hand).why


def test_an_exchange_without_traffic_proves_nothing() -> None:
    """Who only claims that the exchange worked is found out by conntrack."""
    tries: list[str] = []

    def claim() -> str:
        tries.append("tried")
        return "it worked" if len(tries) == 2 else fails()

    result = not_proven(acting(claim))
    assert worked(result) == {Phase.OFF: False, Phase.ON: True, Phase.REVOKED: False}
    assert "on: 0 flows name the helper" in result.why
    assert "ctherd says that it took the helper from no flow" in result.why


def test_a_control_connection_that_died_is_told() -> None:
    """An exchange that fails for another reason than a missing helper proves nothing."""
    assert "off: the control connection died" in not_proven(acting(fails, lambda: False)).why


def test_a_session_that_cannot_be_had_is_told_in_its_own_words() -> None:
    """A server that does not start is an error of that case, with what it said."""

    def refuse(_: Topology) -> None:
        raise NoSession("nobody at home")

    result = not_proven(beginning_with(PASSIVE, refuse))
    assert result.why == "NoSession: nobody at home"
    assert result.phases == ()


def test_a_port_that_is_free_in_a_moment_is_waited_for() -> None:
    """What another thread is starting holds closed sockets for a while: no fault of the case."""
    refusals = iter([OSError(errno.EADDRINUSE, "Address already in use")])

    def be_busy_once(_: Topology) -> None:
        for refusal in refusals:
            raise refusal

    result = prove(beginning_with(PASSIVE, be_busy_once), "nftables", hire, Event())
    assert result.verdict is Verdict.PROVEN, result.why


def test_no_other_trouble_is_waited_out() -> None:
    """What would pass at the next try, but is no port in use, is told at once."""
    refusals = iter([OSError(errno.ENETDOWN, "Network is down")])

    def fail_once(_: Topology) -> None:
        for refusal in refusals:
            raise refusal

    assert not_proven(beginning_with(PASSIVE, fail_once)).why.endswith("Network is down")


def test_what_the_kernel_refuses_is_told_in_its_own_words() -> None:
    """A dataplane that cannot assign is no mystery: the result says what was refused."""
    by_hand = "table inet ctherd { map assign { type inet_service : verdict; }; }"
    result = not_proven(beginning_with(PASSIVE, lambda net: net.router.nft(by_hand)))
    assert result.why.startswith("NotAssigned: ")
    assert "ctherd" in result.why.removeprefix("NotAssigned: ")


def test_a_fault_of_ours_ends_one_case_alone(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody expects is logged with its traceback; others go on, in order."""

    def broken() -> str:
        raise LookupError("the exchange has a bug")

    cases = [acting(broken), PASSIVE]
    seen: list[CaseResult] = []
    with caplog.at_level(logging.ERROR):
        results = prove_all(cases, ["nftables"], hire, seen.append)
    assert [each.verdict for each in results] == [Verdict.NOT_PROVEN, Verdict.PROVEN]
    assert results[0].why == "LookupError: the exchange has a bug"
    assert "Traceback" in caplog.text
    assert sorted(map(id, seen)) == sorted(map(id, results))


def test_who_may_make_no_namespace_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root nothing is tried: one error, not one for each case."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PrivilegeMissing):
        prove_all([PASSIVE], ["nftables"], hire, lambda _: pytest.fail("a case was tried"))


def test_missing_software_is_a_skip_that_says_what_to_install() -> None:
    """A case whose server is not installed is skipped before anything is built."""
    unlikely = Program("ctherd-no-such-program", "no-such-package")
    result = prove(replace(PASSIVE, needs=(unlikely,)), "nftables", hire, Event())
    assert result.verdict is Verdict.SKIPPED
    assert result.why == "ctherd-no-such-program not installed (apt install no-such-package)"


def test_who_is_told_to_stop_stops_between_phases() -> None:
    """No further phase begins, and the namespaces are gone when it is over."""
    stop = Event()
    names: set[str] = set()
    tried: list[set[str]] = []

    def try_and_stop() -> str:
        tried.append(names & {each.name for each in NETNS_DIR.iterdir()})
        stop.set()
        return fails()

    def note(net: Topology) -> None:
        names.update(each.name for each in net.stations)

    with pytest.raises(Stopped):
        prove(beginning_with(acting(try_and_stop), note), "nftables", hire, stop)
    assert tried == [names]
    assert not names & {each.name for each in NETNS_DIR.iterdir()}


def test_an_interrupt_stops_all_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while exchanges wait: no other phase, and nothing is built for those that waited."""
    stop = Event()
    monkeypatch.setattr(side_by_side, "Event", lambda: stop)
    built: list[Topology] = []
    tried: list[bool] = []

    def interrupt_and_wait() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        tried.append(stop.wait(30.0))
        return fails()

    case = beginning_with(acting(interrupt_and_wait), built.append)
    with pytest.raises(KeyboardInterrupt):
        prove_all([case] * 50, ["nftables"], hire, lambda _: None)
    assert tried
    assert all(tried)
    assert len(built) < 50
