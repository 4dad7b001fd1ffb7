"""What keeps a debt to live flows from being paid: foreigners, packets under way, errors."""

import errno
from collections.abc import Callable

import pytest

from ctherd.dataplane import survey_rules
from ctherd.dataplane.finding import Finding, FindingKind, Place, PortRange, Scope
from ctherd.dataplane.nftables import layout
from ctherd.errors import DataplaneError
from ctherd.model.catalog import Protocol
from tests.reconcile.live_flows import after, flow, flows, only
from tests.reconcile.machine import FTP, TFTP, A, B, Machine, router


def test_a_foreign_rule_of_the_same_kind(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose helper it was cannot be told: flows are left, and the rule is named."""
    rival = _rival("ftp", 21)
    monkeypatch.setattr(survey_rules, "find", lambda _: iter([rival]))
    with machine.process() as running:
        running.commit(router(A, FTP, TFTP))
        left, mine = flow(machine), flow(machine, "tftp", port=69, protocol=Protocol.UDP)
        running.commit(router(A))
        (revoked,) = running.revoke()
    by_helper = {each.debt.key.helper: each for each in revoked.settled}
    assert (by_helper["ftp"].flows, by_helper["ftp"].left) == (0, 1)
    assert str(rival) in by_helper["ftp"].why
    assert by_helper["tftp"].flows == 1
    assert (left.helper, mine.helper) == ("ftp", None)


def _rival(helper: str, port: int) -> Finding:
    place = Place("ip", "raw", "PREROUTING", 4)
    scope = Scope("tcp", (PortRange(port, port),))
    return Finding(FindingKind.HELPER_FIRST, place, "gives it first", scope, helper)


def test_packets_under_way(machine: Machine) -> None:
    """Flows that appear with the helper between two scans are found by the next."""
    scans = _scans(machine, lambda n: flow(machine, at=n) if n <= 2 else None)
    with machine.process() as running:
        running.commit(router(A, FTP))
        flow(machine, at=99)
        running.commit(router(A))
        machine.kernel.after_datagram = scans
        settled = only(running.revoke())
    assert (settled.flows, settled.left) == (3, 0)
    assert {each.helper for each in flows(machine)} == {None}


def test_flows_without_end(machine: Machine) -> None:
    """If they keep coming, it is said, and owed still."""
    scans = _scans(machine, lambda n: flow(machine, at=n))
    with machine.process() as running:
        running.commit(router(A, FTP))
        running.commit(router(A))
        machine.kernel.after_datagram = scans
        settled = only(running.revoke())
        assert not settled.done
        assert settled.left == 1
        assert "keep appearing" in settled.why
        assert machine.records()[A].owed == (settled.debt,)
        machine.kernel.after_datagram = None
        assert only(running.revoke()).done
    machine.holds()


def _scans(machine: Machine, make: Callable[[int], object]) -> Callable[..., None]:
    """Return a hook that calls *make* with the number of each scan of flows, after it."""
    count = 0

    def hook(_netns: object, datagram: bytes) -> None:
        nonlocal count
        if int.from_bytes(datagram[4:6], "little") == 1 << 8 | 1:
            count += 1
            make(count)

    return hook


def test_an_error_leaves_the_debt(machine: Machine) -> None:
    """A kernel that cannot be asked is asked again; nothing is said to be done."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        old = flow(machine)
        running.commit(router(A))
        (owing,) = running.reconciler.owing()
        machine.kernel.netns(A).fail_next("send", errno.EPERM)
        assert isinstance(running.revoker.revoke(owing), DataplaneError)
        assert machine.records()[A].owed == owing.owed
        assert only(running.revoke()).flows == 1
    assert old.helper is None
    machine.holds()


def test_nothing_in_a_netns_of_the_same_name(machine: Machine) -> None:
    """Flows of another netns are not those that were meant."""
    with machine.process() as running:
        running.commit(router(A, FTP))
        running.commit(router(A))
        (owing,) = running.reconciler.owing()
        machine.kernel.netns(A).recreate()
        old = flow(machine)
        outcome = running.revoker.revoke(owing)
    assert "another network namespace" in str(outcome)
    assert old.helper == "ftp"


def test_a_foreign_table_in_our_place(machine: Machine) -> None:
    """While somebody else has the table of our name, nobody can tell whose flows there are."""
    after(machine, [router(A, FTP)])
    old = flow(machine)
    netns = machine.kernel.netns(A)
    with netns.stranger() as other:
        assert (netns.flush_ruleset(), other.add_table(layout.TABLE)) == (0, 0)
        with machine.process() as running:
            running.commit(router(B, FTP))
            assert running.revoke() == []
            assert (old.helper, len(machine.records()[A].owed)) == ("ftp", 1)
        assert other.delete_table(layout.TABLE) == 0
    assert only(after(machine, [router(B, FTP)])).flows == 1
    machine.holds(router(B, FTP))
