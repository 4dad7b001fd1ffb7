"""An agent's real source over a scripted kernel: everything but the loop that waits for events."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from ctherd.agent.backoff import Backoff
from ctherd.agent.belief import Belief
from ctherd.agent.document_cache import CACHE_FILE, DocumentCache
from ctherd.agent.server import ServerSource
from ctherd.agent.server_client import ServerAddress, ServerClient
from ctherd.agent.trust import Trust
from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.dataplane.revoker import FlowRevoker
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.document import Document, NetnsName
from ctherd.model.observation import Observation
from ctherd.model.router import HostName
from ctherd.plan.safety import Limits
from ctherd.ports import ObserveRequest, Revoked
from ctherd.service.host import HostService
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns_directory import FakeNetnsDirectory


class ScriptedHost:
    """What outlives an agent: its kernel and its state directory."""

    def __init__(self, name: str, directory: Path, *names: str) -> None:
        self.name = HostName(name)
        self.directory = directory
        self.directory.mkdir(exist_ok=True)
        self.kernel = FakeKernel()
        for each in names:
            self.kernel.create(each)
        (directory / "token").write_text(f"host:{name}\n")

    @asynccontextmanager
    async def agent(
        self,
        url: str,
        pinned: Path,
        *,
        silence_s: float = 20.0,
        first_s: float = 0.05,
        longest_s: float = 0.5,
        tls: Mapping[str, Path] | None = None,
    ) -> AsyncIterator["ScriptedAgent"]:
        """Run an agent that follows *url*, by its token or by what *tls* has of it."""
        known = tls or {"token_file": self.directory / "token"}
        address = ServerAddress(url, self.name, **known)
        client = ServerClient(address, silence_s=silence_s)
        cache = DocumentCache(self.directory / CACHE_FILE)
        belief = Belief(self.name, Trust(pinned, cache), cache)
        source = ServerSource(
            client,
            belief,
            {"version": "test"},
            reconnect=Backoff(first_s, longest_s),
            retry=Backoff(0.05, 0.5),
        )
        journal = SqliteJournal(self.directory / "journal.sqlite")
        agent = ScriptedAgent(self, source, belief, journal)
        source.begin(agent)
        task = asyncio.create_task(source.run())
        try:
            yield agent
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            source.close()
            agent.dataplane.release([NetnsName(each) for each in self.kernel.names()])
            journal.close()


class ScriptedAgent:
    """Reconciles whatever it is told to look at, at once."""

    def __init__(
        self, host: ScriptedHost, source: ServerSource, belief: Belief, journal: SqliteJournal
    ) -> None:
        self.host = host
        self.source = source
        self.belief = belief
        self.journal = journal
        self.dataplane = NftablesDataplane(FakeNetnsDirectory(host.kernel), own_table=True)
        self.service = HostService(
            self.dataplane,
            journal,
            Guard(Policy()),
            Limits(),
            nat_missing=lambda _: False,
            look_around=lambda *_: {},
            find_trouble=lambda *_: [],
            revoker=FlowRevoker(FakeNetnsDirectory(host.kernel), lambda *_: (), lambda _: True),
            stays=True,
        )

    def accept(self, documents: Iterable[Document], *, complete: bool = True) -> set[NetnsName]:
        touched = self.service.reconciler.accept(documents, complete=complete)
        asyncio.get_running_loop().call_soon(self.reconcile, list(touched))
        return touched

    def withdraw(self, names: Iterable[NetnsName]) -> None:
        touched = self.service.reconciler.withdraw(names)
        asyncio.get_running_loop().call_soon(self.reconcile, list(touched))

    def look_everywhere(self) -> None:
        self.reconcile(list(self.service.reconciler.entries))

    def reconcile(self, names: list[NetnsName]) -> None:
        self.service.reconciler.reconcile(names)
        outcomes = map(self.service.revoker.revoke, self.service.reconciler.owing(names))
        self.service.reconciler.settle(each for each in outcomes if isinstance(each, Revoked))
        self.source.reconciled(names)

    def ports(self, netns: str) -> set[int]:
        """What the kernel has now, read anew."""
        entry = self.service.reconciler.entries.get(NetnsName(netns))
        tag = entry.tag if entry is not None else None
        (seen,) = self.dataplane.observe([ObserveRequest(NetnsName(netns), tag)])
        assert isinstance(seen, Observation), seen
        return {key.port for key in seen.live}
