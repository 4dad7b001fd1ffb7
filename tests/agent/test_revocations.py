"""The agent revokes beside its loop, over the scripted kernel."""

import asyncio
import errno
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ctherd.agent.revocations import Revocations
from ctherd.errors import CtherdError
from ctherd.model.debt import Debt
from ctherd.model.document import NetnsName
from ctherd.ports import Revocation, Revoked, Revoker
from ctherd.service.revocations import Outcome
from tests.reconcile.live_flows import flow
from tests.reconcile.machine import FTP, TFTP, A, B, Machine, Process, router


class Slow:
    """A revoker that begins, and ends when it is told to."""

    def __init__(self, revoker: Revoker) -> None:
        self._revoker = revoker
        self.began = threading.Event()
        self.may_end = threading.Event()

    def revoke(self, revocation: Revocation) -> Revoked | CtherdError:
        self.began.set()
        assert self.may_end.wait(10)
        return self._revoker.revoke(revocation)

    def count(self, revocation: Revocation) -> Mapping[Debt, int] | CtherdError:
        return self._revoker.count(revocation)


@contextmanager
def owing(machine: Machine) -> Iterator[Process]:
    """A process that has taken ftp from both netns, and has not revoked it yet."""
    with machine.process() as running:
        running.commit(router(A, FTP, TFTP), router(B, FTP, TFTP))
        for netns in (A, B):
            flow(machine, netns=netns)
        running.commit(router(A, TFTP), router(B, TFTP))
        yield running


async def test_nobody_waits_for_a_slow_revocation(tmp_path: Path) -> None:
    """While one netns is under way only that one is held, and the loop goes on."""
    machine = Machine(tmp_path)
    told: list[NetnsName] = []
    with owing(machine) as running:
        slow = Slow(running.revoker)
        revocations = Revocations(running.reconciler, slow, lambda netns, _: told.append(netns))
        revocations.look([A])
        task = asyncio.create_task(revocations.run())
        await asyncio.to_thread(slow.began.wait, 10)
        assert (revocations.holds(A), revocations.holds(B)) == (True, False)
        running.reconciler.accept([router(A, TFTP), router(B, FTP)])
        assert [each.netns for each in running.reconciler.reconcile([B])] == [B]
        slow.may_end.set()
        await asyncio.wait_for(revocations.idle(), 10)
        assert (revocations.holds(A), told) == (False, [A])
        task.cancel()
    assert machine.records()[A].owed == ()


async def test_what_came_of_it_is_told_and_kept(tmp_path: Path) -> None:
    """Each netns once, in its turn, and the debts are struck out."""
    machine = Machine(tmp_path)
    told: dict[NetnsName, Outcome] = {}
    with owing(machine) as running:
        revocations = Revocations(running.reconciler, running.revoker, told.__setitem__)
        task = asyncio.create_task(revocations.run())
        before = revocations.serial
        revocations.look([A, B, NetnsName("unknown")])
        await asyncio.wait_for(revocations.idle(), 10)
        assert revocations.since(before) == told
        assert [isinstance(each, Revoked) for each in told.values()] == [True, True]
        assert revocations.since(revocations.serial) == {}
        task.cancel()
    assert [each.owed for each in machine.records().values()] == [(), ()]


async def test_a_failure_is_tried_again(tmp_path: Path) -> None:
    """The debt stays, and after a while it is paid."""
    machine = Machine(tmp_path)
    paid = asyncio.Event()
    outcomes: list[Outcome] = []

    def done(_: NetnsName, outcome: Outcome) -> None:
        outcomes.append(outcome)
        if isinstance(outcome, Revoked):
            paid.set()

    with owing(machine) as running:
        revocations = Revocations(running.reconciler, running.revoker, done)
        machine.kernel.netns(A).fail_next("send", errno.EPERM)
        revocations.look([A])
        task = asyncio.create_task(revocations.run())
        await asyncio.wait_for(revocations.idle(), 10)
        assert len(outcomes) == 1
        assert running.reconciler.entries[A].owed
        await asyncio.wait_for(paid.wait(), 10)
        task.cancel()
    assert machine.records()[A].owed == ()
