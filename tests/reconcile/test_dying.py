"""A process that dies anywhere leaves nothing that the next one does not know."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctherd.model.document import Document
from ctherd.netlink.nf_tables import BATCH_BEGIN
from ctherd.plan.diff import Verb
from ctherd.testing.netns import FakeNetns
from tests.reconcile.machine import FTP, FTP_LOCAL, SIP, TFTP, A, B, Died, Machine, router

STAGES: Final[Sequence[Sequence[Document]]] = (
    (router(A, FTP, TFTP), router(B, SIP)),
    (router(A, FTP_LOCAL, SIP),),
    (router(A, FTP_LOCAL, name="renamed"), router(B, FTP)),
    (),
)


def live_through(machine: Machine, stages: Sequence[Sequence[Document]], die_at: int) -> bool:
    """Let one process go through *stages*; return whether it died on its way."""
    try:
        with machine.process(die_at=die_at) as running:
            for stage in stages:
                running.become(*stage)
    except Died:
        return True
    return False


@pytest.mark.parametrize("final", range(len(STAGES)))
def test_death_at_any_step(tmp_path: Path, final: int) -> None:
    """Killed at any datagram or journal write: nothing is orphaned, and the next run converges."""
    die_at = 0
    died = True
    while died:
        die_at += 1
        directory = tmp_path / str(die_at)
        directory.mkdir()
        machine = Machine(directory)
        died = live_through(machine, STAGES, die_at)
        machine.nothing_is_orphaned()
        with machine.process() as running:
            running.become(*STAGES[final])
            assert running.reconciler.reconcile() == []
        machine.holds(*STAGES[final])
    assert die_at > 50


def documents() -> st.SearchStrategy[list[Document]]:
    """What two routers may be declared as; a router may be missing, or have nothing."""
    some = st.lists(st.sampled_from([FTP, TFTP, SIP, FTP_LOCAL]), max_size=3).map(
        lambda chosen: list({each.key: each for each in chosen}.values())
    )
    one = st.none() | some
    return st.tuples(one, one).map(
        lambda pair: [
            router(netns, *each)
            for netns, each in zip((A, B), pair, strict=True)
            if each is not None
        ]
    )


@settings(max_examples=60)
@given(st.lists(documents(), min_size=1, max_size=3), st.integers(1, 60), documents())
def test_any_history_and_any_death(
    stages: list[list[Document]], die_at: int, final: list[Document]
) -> None:
    """The same for any sequence of declarations."""
    with tempfile.TemporaryDirectory() as directory:
        machine = Machine(Path(directory))
        live_through(machine, stages, die_at)
        machine.nothing_is_orphaned()
        with machine.process() as running:
            running.become(*final)
            assert running.reconciler.reconcile() == []
        machine.holds(*final)


def test_a_replacement_that_was_recorded_and_never_made(machine: Machine) -> None:
    """It was taken back in the meantime: the kernel is right, and the journal is made right."""
    with pytest.raises(Died), machine.process() as running:
        running.become(router(A, FTP))
        machine.kernel.before_datagram = _die_at_a_batch
        running.become(router(A, FTP_LOCAL))
    assert machine.records()[A].managed == {FTP.key: FTP_LOCAL.destinations}
    with machine.process() as running:
        (report,) = running.become(router(A, FTP))
        assert report.plan is not None
        assert [each.verb for each in report.plan.changes] == [Verb.ADOPT]
    machine.holds(router(A, FTP))


def _die_at_a_batch(_: FakeNetns, datagram: bytes) -> None:
    if int.from_bytes(datagram[4:6], "little") == BATCH_BEGIN:
        raise Died
