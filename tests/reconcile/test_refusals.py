"""What the kernel or the policy does not take, and neighbours that do not suffer."""

import errno
from pathlib import Path

from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.model.document import RouterId
from ctherd.model.observation import Tag
from ctherd.testing.helper_matrix import LINUX_6_18
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.nf_tables.transaction import Abilities
from tests.reconcile.machine import FTP, TFTP, A, B, Machine, router


def test_a_refused_helper(tmp_path: Path) -> None:
    """The kernel's words are reported, neighbours are active, and it is tried again on request."""
    poor = {key: each for key, each in LINUX_6_18.items() if key[0] != "ftp"}
    machine = Machine(tmp_path, FakeKernel(helpers=poor))
    with machine.process() as running:
        (report,) = running.become(router(A, FTP, TFTP))
        assert list(report.refused) == [FTP.key]
        assert report.refused[FTP.key].errno == errno.ENOENT
        assert report.refused[FTP.key].words
        assert running.reconciler.reconcile() == []
        machine.kernel.abilities = Abilities(True, LINUX_6_18)
        running.reconciler.entries[A].retry_refused()
        (report,) = running.reconciler.reconcile()
        assert report.refused == {}
    machine.holds(router(A, FTP, TFTP))


def test_a_refused_helper_is_not_remembered_as_made(tmp_path: Path) -> None:
    """The journal holds what is there, so that nothing is said to be lost that never was."""
    poor = {key: each for key, each in LINUX_6_18.items() if key[0] != "ftp"}
    machine = Machine(tmp_path, FakeKernel(helpers=poor))
    with machine.process() as running:
        running.become(router(A, FTP, TFTP), router(B, FTP))
    assert machine.live(A) == {TFTP.key: ()}
    assert dict(machine.records()[A].managed) == {TFTP.key: ()}
    assert machine.mark(B) is None


def test_what_the_policy_denies_is_withdrawn(machine: Machine) -> None:
    """A policy that kills a helper takes it out of the kernel at the next run."""
    with machine.process() as running:
        running.become(router(A, FTP, TFTP))
        running.reconciler.set_guard(Guard(Policy(kill=frozenset({"ftp"}))))
        running.reconciler.reconcile()
        assert list(running.reconciler.entries[A].denials) == [FTP.id]
    machine.holds(router(A, TFTP))


def test_a_dataplane_error_stays_in_its_netns(machine: Machine) -> None:
    """The socket of one netns fails: told, the other is served, and the next run heals it."""
    with machine.process() as running:
        running.become()
        machine.kernel.netns(A).fail_next("send", errno.ENOBUFS)
        reports = {
            each.netns: each.error for each in running.become(router(A, FTP), router(B, FTP))
        }
        assert reports[A] is not None and reports[B] is None
        running.reconciler.reconcile()
    machine.holds(router(A, FTP), router(B, FTP))


def test_tags_are_drawn_for_each_netns(machine: Machine) -> None:
    """No mark is used twice."""
    with machine.process() as running:
        running.become(router(A, FTP), router(B, FTP))
    tags: set[Tag] = {each.tag for each in machine.records().values()}
    assert len(tags) == 2
    routers: set[RouterId] = {each.router for each in machine.records().values()}
    assert routers == {"router-a", "router-b"}
