"""Writers who never pause, locks that are held, tools that are missing, families that refuse."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctherd import process
from ctherd.dataplane.iptables.dataplane import IptablesDataplane
from ctherd.dataplane.iptables.lock import XtablesLock
from ctherd.dataplane.iptables.neighbour import find
from ctherd.dataplane.iptables.variant import Variant
from ctherd.errors import CtherdError, DataplaneError, LockHeld, NetnsAbsent
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.journal.sqlite import SqliteJournal
from ctherd.lab.cleanup import remove
from ctherd.model.assignment import ANY
from ctherd.model.catalog import Family
from ctherd.model.document import Document, document
from ctherd.model.observation import Observation
from ctherd.model.status import State
from ctherd.netns.directory import NetnsDirectory
from ctherd.ports import Committed, Moved, ObserveRequest
from ctherd.process import ToolMissing
from ctherd.reconcile.reconciler import Reconciler
from ctherd.reconcile.standing import statuses
from tests.dataplane.contract import (
    FTP,
    IRC,
    MIXED,
    SIP,
    TAG,
    TFTP,
    V4,
    V6,
    create,
    delete,
    make_router,
    succeed,
    whole,
)
from tests.dataplane.world_iptables import IptablesWorld
from tests.reconcile.machine import assignment

pytestmark = pytest.mark.root

DECLARED = [assignment(key.helper, key.protocol, key.port) for key in (FTP, TFTP, IRC)]


@pytest.fixture
def reconciler(raw: IptablesWorld, tmp_path: Path) -> Iterator[Reconciler]:
    """A reconciler over the dataplane, with a journal of its own."""
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    dataplane = raw.dataplane(own_table=False)
    yield Reconciler(dataplane, journal, Guard(Policy()))
    dataplane.release([raw.netns])
    journal.close()


def router_of(raw: IptablesWorld) -> Document:
    return document("r", raw.netns, DECLARED)


def chain_in(raw: IptablesWorld) -> str:
    """The name of the chain that was drawn."""
    words = raw.save(Family.IPV4, "-t", "raw").split()
    return next(word[1:] for word in words if word.startswith(":ctherd-"))


# -- others who write ------------------------------------------------------------------------------


@contextmanager
def writing(raw: IptablesWorld, script: str, *, lock: str = "of-the-writer") -> Iterator[None]:
    """Let somebody repeat *script* without a pause, with a *lock* of his own."""
    with raw.directory.held(raw.netns) as fd:
        looped = f"echo; until read -t 0; do {script}; done"
        child = process.spawn(
            ["bash", "-c", looped],
            netns_fd=fd,
            env={"XTABLES_LOCKFILE": f"{raw.lock}{lock}"},
        )
    with child:
        child.read_line(10.0)
        yield
        child.finish(30.0)


def test_a_writer_elsewhere_does_not_starve_us(raw: IptablesWorld, reconciler: Reconciler) -> None:
    """Somebody changes other rules of the raw table without a pause: ours come true at once."""
    program = f"{raw.variant.program(Family.IPV4)} -w 5 -t raw"
    rule = "PREROUTING -p tcp --dport 4711 -j ACCEPT"
    # iptables-legacy writes whole tables: without the lock the last one wins, whoever it is.
    with writing(raw, f"{program} -A {rule}; {program} -D {rule}", lock=""):
        for wanted in ([router_of(raw)], [document("r", raw.netns, DECLARED[:1])]) * 3:
            reconciler.accept(wanted)
            reports = reconciler.reconcile()
            assert [report.error for report in reports] == [None]
    (report,) = reconciler.plan()
    assert report.plan is not None and report.plan.empty


def test_a_writer_in_our_chain_is_told_and_outlived(
    raw: IptablesWorld, reconciler: Reconciler
) -> None:
    """Somebody keeps changing our chain: bounded tries, a clear word, and we are right at last."""
    reconciler.accept([router_of(raw)])
    reconciler.reconcile()
    chain, programs = chain_in(raw), [raw.variant.program(each) for each in Family]
    steps = [f"{each} -t raw -I {chain} -p tcp --dport 7 -j ACCEPT" for each in programs]
    steps += [f"{each} -t raw -D {chain} 2" for each in programs]
    codes = set()
    with writing(raw, "; ".join(f"{step} 2>/dev/null" for step in steps)):
        for _ in range(5):
            reconciler.entries[raw.netns].look_anew()
            for report in reconciler.reconcile():
                codes.add(report.error.code if report.error else "")
    assert codes <= {"", "contended", "kernel"}
    reconciler.reconcile()
    reconciler.entries[raw.netns].look_anew()
    (report,) = reconciler.plan()
    assert report.plan is not None and report.plan.empty, report


def test_a_commit_that_was_too_late_changes_nothing(raw: IptablesWorld) -> None:
    """What others changed since the observation is neither overwritten nor undone."""
    router = make_router(raw)
    router.converge({FTP: ANY})
    router.look()
    raw.both("-D", raw.names.chain, *raw.rule(FTP))
    before = [raw.save(each, "-t", "raw") for each in Family]
    assert router.commit(delete(FTP), create(TFTP)) == Moved(raw.netns)
    assert [raw.save(each, "-t", "raw") for each in Family] == before


def test_unchanged_rules_keep_their_counters(raw: IptablesWorld) -> None:
    """A rule that stays is not written again, whatever comes and goes around it."""
    router = make_router(raw)
    router.converge({FTP: ANY, TFTP: ANY, SIP: V4})
    counted = {str(line) for line in raw.contents() if "[0:0]" not in str(line)}
    assert len(counted) == 8
    router.converge({FTP: ANY, TFTP: ANY, IRC: ANY, SIP: MIXED})
    router.converge({FTP: ANY, TFTP: ANY})
    assert counted <= {str(line) for line in raw.contents()}


# -- the lock --------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDONLY | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def test_a_lock_that_is_held_is_waited_for_and_told(raw: IptablesWorld) -> None:
    """The wait ends, it is told who holds the lock, nothing has changed; iptables-nft has none."""
    lock = XtablesLock(raw.lock, patience_s=0.05)
    dataplane = IptablesDataplane(NetnsDirectory(raw.directory.path), raw.variant, lock=lock)
    raw.stack.callback(dataplane.release, [raw.netns])
    router = make_router(raw)
    router.dataplane = dataplane
    router.look()
    with locked(raw.lock):
        outcome = router.commit(create(FTP))
    if raw.variant is Variant.NFT:
        assert isinstance(outcome, Committed)
        return
    assert isinstance(outcome, LockHeld)
    assert f"process {os.getpid()} (" in str(outcome)
    assert router.state() == whole({})
    succeed(router.converge({FTP: ANY}))


def test_others_who_lock_wait_for_us(raw: IptablesWorld) -> None:
    """While we read, write and read back, a program that obeys the lock does nothing."""
    lock = XtablesLock(raw.lock)
    with raw.directory.held(raw.netns) as fd, lock.held():
        said = process.run(
            ["iptables-legacy", "-w", "1", "-t", "raw", "-A", "OUTPUT", "-j", "ACCEPT"],
            netns_fd=fd,
            env={"XTABLES_LOCKFILE": str(raw.lock)},
            check=False,
        )
        assert said.returncode == 4
        process.run(["iptables-legacy", "-t", "raw", "-L"], netns_fd=fd, env=dict(lock.environment))


# -- families and tools ----------------------------------------------------------------------------


def test_a_family_that_refuses_keeps_the_other_true(
    raw: IptablesWorld, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """IPv4 is active while IPv6 is an error, in its own words; and it comes as soon as it can."""
    broken = raw.variant.program(Family.IPV6, "restore")
    words = "can't initialize ip6tables table `raw': Table does not exist"
    script = tmp_path / "bin" / broken
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{broken}: {words}\nEND\nexit 3\n")
    script.chmod(0o755)
    with monkeypatch.context() as context:
        context.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
        reconciler.accept([router_of(raw)])
        (report,) = reconciler.reconcile()
        assert report.error is None and not report.refused
        assert set(report.refused_in) == {FTP, TFTP}
        told = {
            status.key: {
                family: (each.state, each.reason) for family, each in status.families.items()
            }
            for status in statuses(reconciler.entries[raw.netns], lambda _: False)
        }
        assert told[FTP][Family.IPV4] == (State.ACTIVE, "")
        assert told[FTP][Family.IPV6][0] is State.ERROR
        assert words in told[FTP][Family.IPV6][1]
        assert told[IRC] == {Family.IPV4: (State.ACTIVE, "")}
        reconciler.reconcile()
        assert reconciler.reconcile() == []
    assert raw.save(Family.IPV4, "-t", "raw").count("CT --helper") == 3
    reconciler.entries[raw.netns].retry_refused()
    (report,) = reconciler.reconcile()
    assert not report.refused_in
    assert raw.save(Family.IPV6, "-t", "raw").count("CT --helper") == 2
    assert reconciler.reconcile() == []


def test_a_table_that_only_nft_understands(raw: IptablesWorld) -> None:
    """A chain that iptables-nft cannot use: the other family is served, this one says so."""
    if raw.variant is Variant.LEGACY:
        return  # it does not even see it
    native = "table ip6 raw { chain PREROUTING { type filter hook prerouting priority 10; }; }"
    with raw.directory.held(raw.netns) as fd:
        process.run(["nft", "-f", "-"], input=native, netns_fd=fd)
        before = process.run(["nft", "list", "table", "ip6", "raw"], netns_fd=fd).stdout
        router = make_router(raw)
        router.look()
        outcome = router.commit(create(FTP), create(SIP, V6))
        assert isinstance(outcome, Committed)
        assert list(outcome.refused) == [SIP]
        assert list(outcome.refused_in[FTP]) == [Family.IPV6]
        assert outcome.refused[SIP].words == "Operation not supported"
        assert process.run(["nft", "list", "table", "ip6", "raw"], netns_fd=fd).stdout == before


def test_missing_tools_are_told(raw: IptablesWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without iptables nothing is done, and it is said what to install."""
    router = make_router(raw)
    router.look()
    with monkeypatch.context() as context:
        context.setenv("PATH", "/nonexistent")
        outcome = router.commit(create(FTP))
    assert isinstance(outcome, ToolMissing) and outcome.cure == "apt install iptables"
    assert router.state() == whole({})
    succeed(router.converge({FTP: ANY}))
    raw.touch()
    with monkeypatch.context() as context:
        context.setenv("PATH", "/nonexistent")
        assert isinstance(router.ask(), ToolMissing)
    assert router.state() == whole({FTP: ANY})


def test_a_family_that_cannot_be_read_is_not_taken_for_empty(
    raw: IptablesWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While IPv6 cannot be read, nothing says that our chain there is gone."""
    router = make_router(raw)
    router.converge({FTP: ANY})
    broken = tmp_path / "bin" / raw.variant.program(Family.IPV6, "save")
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    broken.chmod(0o755)
    raw.touch()
    with monkeypatch.context() as context:
        context.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
        seen = router.look()
        assert any("ipv6: cannot be read" in damage for damage in seen.damage)
        outcome = router.commit(delete(FTP), repair=True)
        assert isinstance(outcome, CtherdError)
    assert raw.save(Family.IPV6, "-t", "raw").count("CT --helper") == 1
    assert "CT --helper" not in raw.save(Family.IPV4, "-t", "raw")
    succeed(router.converge({}))
    assert router.state() == whole({})


# -- namespaces and variants -----------------------------------------------------------------------


def test_a_netns_that_vanishes_is_told(raw: IptablesWorld) -> None:
    """Between looking and acting the netns is deleted: an answer, and no trace in another one."""
    router = make_router(raw)
    router.look()
    remove([raw.netns])
    outcome = router.commit(create(FTP))
    assert isinstance(outcome, Committed)  # it lives for as long as we hold it
    (gone,) = router.dataplane.identify([raw.netns])
    assert isinstance(gone, NetnsAbsent)
    (answer,) = router.dataplane.observe([ObserveRequest(raw.netns, TAG)])
    assert isinstance(answer, NetnsAbsent)
    process.run(["ip", "netns", "add", raw.netns])
    assert router.state() == whole({})


def test_nothing_is_run_where_there_is_nothing(
    raw: IptablesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A netns without a raw table costs no process, and gets no table from being looked at."""
    monkeypatch.setenv("PATH", "/nonexistent")
    router = make_router(raw)
    assert router.state() == whole({})
    outcome = router.commit(delete(FTP))
    assert isinstance(outcome, Committed) and not outcome.refused


def test_unchanged_costs_nothing_where_the_kernel_tells(
    raw: IptablesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a known generation iptables-nft runs no program; iptables-legacy has to look."""
    router = make_router(raw)
    router.converge({FTP: ANY})
    seen = router.look()
    assert router.dataplane.capabilities().events is (raw.variant is Variant.NFT)
    monkeypatch.setenv("PATH", "/nonexistent")
    answer = router.ask(seen.generation)
    assert isinstance(answer, ToolMissing) is (raw.variant is Variant.LEGACY)


def test_rules_of_the_other_variant_are_told(raw: IptablesWorld) -> None:
    """Both variants are obeyed; who was told to use one hears of rules in the other."""
    other = Variant.LEGACY if raw.variant is Variant.NFT else Variant.NFT
    with raw.directory.held(raw.netns) as fd:
        assert list(find(fd, raw.variant)) == []
        rule = [other.program(Family.IPV4), "-A", "FORWARD", "-j", "ACCEPT"]
        process.run(rule, netns_fd=fd, env=dict(raw.programs.environment))
        (finding,) = find(fd, raw.variant)
        assert f"1 rules of {other} are in force beside those of {raw.variant}" in str(finding)


def test_a_tag_that_nobody_drew_marks_nothing(raw: IptablesWorld) -> None:
    """A forged record in the journal gets into no ruleset."""
    dataplane = raw.dataplane(own_table=False)
    raw.stack.callback(dataplane.release, [raw.netns])
    evil = type(TAG)("x\n-A PREROUTING -j ACCEPT")
    (answer,) = dataplane.observe([ObserveRequest(raw.netns, evil)])
    assert isinstance(answer, CtherdError) and not isinstance(answer, DataplaneError | Observation)


def test_errors_carry_an_errno(raw: IptablesWorld) -> None:
    """What the kernel says in words is an errno for programs."""
    with raw.directory.held(raw.netns) as fd:
        refusal = raw.programs.try_helper(fd, Family.IPV4, "tftp", FTP.protocol)
    assert refusal is not None and refusal.errno == errno.ENOENT
