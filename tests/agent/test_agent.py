"""How often an agent looks at a netns, over a scripted kernel that nobody else changes."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ctherd.agent.agent import Agent
from ctherd.agent.source import Enforcer
from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import Protocol
from ctherd.model.document import Document, NetnsName, document
from ctherd.plan.safety import Limits
from ctherd.ports import Observed, ObserveRequest, Revoked
from ctherd.reconcile.reconciler import Report
from ctherd.service.host import HostService
from ctherd.service.host_answers import Answer
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns_directory import FakeNetnsDirectory

NAMES = [NetnsName("a"), NetnsName("b")]


class CountingDataplane(NftablesDataplane):
    """Counts how often each netns is looked at."""

    looks: list[NetnsName]

    def observe(self, requests: Sequence[ObserveRequest]) -> list[Observed]:
        self.looks += [each.netns for each in requests]
        return super().observe(requests)


class Declared:
    """A source that knows everything from the start."""

    in_sync = True

    def doubts(self) -> Mapping[str, int]:
        return {}

    def begin(self, agent: Enforcer) -> None:
        agent.accept(map(declared, NAMES))

    async def run(self) -> None:
        await asyncio.Event().wait()

    def reload(self) -> None: ...

    def reconciled(self, names: Sequence[NetnsName]) -> None: ...

    def repaired(self, report: Report, seconds: float) -> None: ...

    def answer(self, request: dict[str, Any]) -> Answer:
        raise AssertionError("nobody asks")

    def close(self) -> None: ...


class Silence:
    """Events of a kernel in which nobody else does anything, and was heard from the start."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def watch(self, netns: NetnsName, cookie: int) -> bool:
        return False

    def ignore(self, netns: NetnsName) -> None: ...

    def close(self) -> None: ...


class Nobody:
    """An observer and a keeper that want nothing."""

    def reconciled(self, reports: Sequence[Report], seconds: float) -> None: ...

    def repaired(self, seconds: float) -> None: ...

    def revoked(self, revoked: Revoked) -> None: ...

    def swept(self, seconds: float) -> None: ...

    def keep(self, names: Iterable[NetnsName]) -> None: ...

    def forget(self, netns: NetnsName) -> None: ...

    def settle(self) -> None: ...


def declared(netns: NetnsName) -> Document:
    made = Assignment(AssignmentId("x"), "ftp", Protocol.TCP, 21)
    return document(netns, netns, [made])


async def test_a_start_looks_at_every_netns_once(tmp_path: Path) -> None:
    """What the source asks for while it begins is not looked at again after the first round."""
    kernel = FakeKernel()
    for each in NAMES:
        kernel.create(each)
    dataplane = CountingDataplane(FakeNetnsDirectory(kernel))
    dataplane.looks = []
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    service = HostService(
        dataplane,
        journal,
        Guard(Policy()),
        Limits(),
        nat_missing=lambda _: False,
        look_around=lambda *_: {},
        find_trouble=lambda *_: [],
        revoker=SimpleNamespace(),
        stays=True,
    )
    begun = asyncio.Event()
    agent = Agent(
        service,
        SimpleNamespace(path=tmp_path, drop_inherited=lambda: None),  # type: ignore[arg-type]
        Declared(),
        state_dir=tmp_path,
        sweep_interval_s=3600.0,
        reload=lambda: None,
        observer=Nobody(),
        keeper=Nobody(),
        announce=begun.set,
        listen=Silence,
        alone=False,
    )
    running = asyncio.create_task(agent.run())
    await begun.wait()
    assert agent.queue.depth() == (0, 0)
    assert dataplane.looks == NAMES
    agent.end()
    await running
    journal.close()
