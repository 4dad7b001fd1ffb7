"""A process that dies before live flows got what they are owed: the next one pays it."""

from pathlib import Path

import pytest

from ctherd.model.catalog import Protocol
from ctherd.model.document import Document
from tests.reconcile.live_flows import FTP_SCOPED, OTHER, adopting, after, flow, flows, killing
from tests.reconcile.machine import FTP, TFTP, A, B, Died, Machine, router


@pytest.mark.parametrize("killed", [False, True])
def test_death_between_commit_and_revocation(tmp_path: Path, killed: bool) -> None:
    """Killed at any datagram or write, the next run pays what is owed: no flow keeps its helper."""
    died, die_at = True, 0
    while died:
        die_at += 1
        directory = tmp_path / str(die_at)
        directory.mkdir()
        machine = Machine(directory)
        first = [router(A, killing(FTP) if killed else FTP, TFTP), router(B, FTP)]
        after(machine, first)
        gone, kept = flow(machine), flow(machine, "tftp", port=69, protocol=Protocol.UDP)
        narrowed = flow(machine, netns=B, server=OTHER)
        final = [router(A, TFTP), router(B, FTP_SCOPED)]
        died = _die_at(machine, final, die_at)
        machine.nothing_is_orphaned()
        after(machine, final)
        assert (gone not in flows(machine)) if killed else (gone.helper is None), die_at
        assert (kept.helper, narrowed.helper) == ("tftp", None), die_at
        machine.holds(*final)
    assert die_at > 20


def test_death_before_open_flows_were_reached(tmp_path: Path) -> None:
    """Killed at any datagram or write, the next run lets go of them."""
    died, die_at = True, 0
    while died:
        die_at += 1
        directory = tmp_path / str(die_at)
        directory.mkdir()
        machine = Machine(directory)
        after(machine, [router(A, FTP, TFTP)])
        flow(machine, None)
        final = [router(A, adopting(FTP), TFTP)]
        died = _die_at(machine, final, die_at)
        after(machine, final)
        assert flows(machine) == [], die_at
        machine.holds(*final)
    assert die_at > 5


def _die_at(machine: Machine, final: list[Document], die_at: int) -> bool:
    try:
        with machine.process(die_at=die_at) as running:
            running.commit(*final)
            running.revoke()
    except Died:
        return True
    return False
