"""The agent's pulse: who looks on is woken by what happens, and by nothing else."""

import asyncio

from ctherd.agent.pulse import Pulse, pulse_as_data
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, RouterId
from ctherd.plan.diff import Change, Verb
from ctherd.plan.plan import Plan
from ctherd.reconcile.reconciler import Report

A, EDGE = NetnsName("a"), RouterId("edge")
FTP = AssignmentKey(Protocol.TCP, 21, "ftp")


async def test_what_happens_is_told_at_once() -> None:
    """Whoever knows the newest waits for the next beat; whoever knows an older one does not."""
    pulse = Pulse()
    old = pulse.mark
    waiting = asyncio.create_task(pulse.later_than(old, 60))
    await asyncio.sleep(0)
    assert not waiting.done()
    pulse.beat()
    async with asyncio.timeout(10):
        await waiting
    assert pulse.mark != old
    await pulse.later_than(old, 60)
    await pulse.later_than(None, 60)
    await pulse.later_than(pulse.mark, "soon")


async def test_patience_ends() -> None:
    """Nothing happened, and that is an answer too."""
    pulse = Pulse()
    before = pulse.mark
    await pulse.later_than(before, 0.01)
    assert pulse.mark == before


def test_another_agent_has_other_marks() -> None:
    """Whoever looked at one that ended is told everything by the next."""
    assert Pulse().mark != Pulse().mark


def test_repairs_are_counted_and_the_last_are_remembered() -> None:
    """By netns; each with what was done, in the words of the plan."""
    pulse = Pulse()
    plan = Plan(EDGE, A, (Change(Verb.CREATE, FTP, None, (), lost=True),), ("put a rule back",))
    for _ in range(100):
        pulse.repaired(Report(A, EDGE, plan), 0.001)
    told = pulse_as_data(pulse)
    assert told["repairs"] == {A: 100}
    assert len(told["recent"]) == 64
    assert told["recent"][-1]["ms"] == 1.0
    assert told["recent"][-1]["words"] == [
        "create tcp/21 ftp: was made by us and is gone from the kernel",
        "put a rule back",
    ]
