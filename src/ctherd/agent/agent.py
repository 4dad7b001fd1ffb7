"""The agent: keeps one host as its source of documents declares.

It owns the time and the queue; what is wanted is the source's affair, what to do to a netns the
reconciler's. Whatever happens only says *where* to look: events of the kernel, of the netns
directory, of the source; and a slow sweep looks everywhere in case one was lost.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from ctherd import systemd
from ctherd.agent import control
from ctherd.agent.answers import Answers
from ctherd.agent.files import NetnsWatch
from ctherd.agent.kernel_events import KernelEvents, Listen
from ctherd.agent.patience import Patience
from ctherd.agent.pulse import Pulse
from ctherd.agent.queue import Queue
from ctherd.agent.revocations import Revocations
from ctherd.agent.source import Source
from ctherd.agent.telling import log_changes
from ctherd.errors import CtherdError, JournalError, NetnsAbsent
from ctherd.model.document import Document, NetnsName
from ctherd.netns.directory import NetnsDirectory
from ctherd.ports import Revoked
from ctherd.reconcile.reconciler import Report
from ctherd.service.host import HostService
from ctherd.service.revocations import Outcome, in_words, revoked_as_data

_log: Final = logging.getLogger("ctherd.agent")

_BATCH: Final = 256
"""Namespaces that are reconciled in one go, between two looks at events."""

_DIRECTORY_POLL_S: Final = 1.0
_JOURNAL_RETRY_S: Final = 1.0


class Observer(Protocol):
    """Who wants to know what the agent did: metrics."""

    def reconciled(self, reports: Sequence[Report], seconds: float) -> None:
        """A batch was reconciled."""

    def repaired(self, seconds: float) -> None:
        """Drift was repaired, so long after its event."""

    def revoked(self, revoked: Revoked) -> None:
        """What was owed to live flows was paid."""

    def swept(self, seconds: float) -> None:
        """Every netns was looked at."""


class Keeper(Protocol):
    """Who has what guards our tables in safe keeping, while no agent lives."""

    def keep(self, names: Iterable[NetnsName]) -> None:
        """These netns were looked at."""

    def forget(self, netns: NetnsName) -> None:
        """This netns is gone."""

    def settle(self) -> None:
        """Every netns was looked at."""


class Agent:
    """Enforces what one source declares.

    Shape: *reload* applies a changed configuration; *listen* begins to hear where somebody commits;
    an agent that is not *alone* in its process leaves signals and the service manager to others.
    """

    def __init__(
        self,
        service: HostService,
        directory: NetnsDirectory,
        source: Source,
        *,
        state_dir: Path,
        sweep_interval_s: float,
        reload: Callable[[], None],
        observer: Observer,
        keeper: Keeper,
        announce: Callable[[], None] = lambda: systemd.notify("READY=1"),
        listen: Listen | None = None,
        alone: bool = True,
    ) -> None:
        self.service = service
        self._reconciler = service.reconciler
        self._directory = directory
        self.source = source
        self._state_dir = state_dir
        self._sweep_interval_s = sweep_interval_s
        self._reload = reload
        self._observer = observer
        self._keeper = keeper
        self._announce = announce
        self._listen: Listen = listen or partial(KernelEvents, directory)
        self._alone = alone
        self._drift_since: dict[NetnsName, float] = {}
        self._revocations = Revocations(self._reconciler, service.revoker, self._on_revoked)
        self.queue = Queue(self._work, self._revocations.holds)
        self._pulse = Pulse()
        self._failing = Patience(0.05, 30.0)
        self._fought_over = Patience(0.0, 5.0)
        self._ended = asyncio.Event()
        self._interval_changed = asyncio.Event()
        # Where the dataplane hears nothing from the kernel, the sweeps find drift.
        self._is_told = service.hears_of_drift

    async def run(self) -> None:
        """Enforce until told to end; the kernel stays as it is then."""
        loop = asyncio.get_running_loop()
        if self._alone:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.end)
            loop.add_signal_handler(signal.SIGHUP, self.reload)
        self._events = self._listen(
            loop.add_reader,
            loop.remove_reader,
            on_commit=self._on_commit,
            on_gone=self._on_gone,
            on_overflow=self.look_everywhere,
        )
        self._namespaces = NetnsWatch(
            self._directory.path, on_netns=self._on_netns, on_overflow=self.look_everywhere
        )
        loop.add_reader(self._namespaces.fileno(), self._namespaces.read)
        answers = Answers(self.service, self.source, self.queue, self._revocations, self._pulse)
        server = await control.serve(self._state_dir, answers.answer)
        try:
            self._start()
            background = [
                asyncio.create_task(each)
                for each in (
                    self.source.run(),
                    self._revocations.run(),
                    self._sweeps(),
                    self._waits(),
                    self._beats(),
                )
            ]
            self._announce()
            _log.info("in sync: %d routers", len(self._reconciler.entries))
            await self._end_of(background)
        finally:
            if self._alone:
                systemd.notify("STOPPING=1")
            server.close()
            self.source.close()
            loop.remove_reader(self._namespaces.fileno())
            self._namespaces.close()
            self._events.close()
            _log.info("ended; the kernel stays as it is")

    def end(self) -> None:
        """Have ``run`` return."""
        self._ended.set()

    async def _end_of(self, background: list[asyncio.Task[None]]) -> None:
        """Wait for the signal, or for a task that fails: that is a bug, and ends the agent."""
        ended = asyncio.create_task(self._ended.wait())
        await asyncio.wait([ended, *background], return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, *background):
            if task.done() and not task.cancelled() and task.exception() is not None:
                raise task.exception() or RuntimeError("unreachable")
            task.cancel()

    # -- what is wanted --------------------------------------------------------------------------

    def _start(self) -> None:
        self.source.begin(self)
        names = list(self._reconciler.entries)
        for start in range(0, len(names), _BATCH):
            self._reconcile(names[start : start + _BATCH])
        # What a former agent guarded and nobody opened now would only keep dead namespaces.
        self._directory.drop_inherited()
        self._keeper.settle()

    def accept(self, documents: Iterable[Document], *, complete: bool = True) -> set[NetnsName]:
        """Make *documents* true; *complete* means that nothing else is wanted.

        Shape: returns the netns that will be looked at for it.
        """
        touched = self._reconciler.accept(documents, complete=complete)
        self._look_at_once(touched)
        return touched

    def withdraw(self, names: Iterable[NetnsName]) -> None:
        """Want nothing in these netns any more."""
        self._look_at_once(self._reconciler.withdraw(names))

    def reload(self) -> None:
        """Take over a changed configuration, and look everywhere with it."""
        try:
            self._reload()
        except CtherdError as error:
            _log.error("the configuration stays as it was: %s", error)
        self.source.reload()
        self.look_everywhere()

    # -- where to look ---------------------------------------------------------------------------

    def _on_commit(self, netns: NetnsName, generation: int) -> None:
        entry = self._reconciler.entries.get(netns)
        if entry is None:
            return
        if entry.observed is not None and not _is_later(generation, entry.observed.generation):
            return  # our own commit, or one before it: it is known already
        now_s = time.monotonic()
        self._drift_since.setdefault(netns, now_s)
        self.queue.put(netns, self._fought_over.delay_s(netns, now_s))

    def _on_gone(self, netns: NetnsName) -> None:
        if netns in self._reconciler.entries:
            self.queue.put(netns)

    def _on_netns(self, netns: NetnsName, came: bool) -> None:
        if not came:
            # Our socket would keep a deleted netns alive.
            self._events.ignore(netns)
            self._reconciler.release((netns,))
            self._keeper.forget(netns)
        if netns not in self._reconciler.entries:
            return
        self._failing.reset(netns)
        self.queue.put(netns)

    def _look_at_once(self, names: Iterable[NetnsName]) -> None:
        for netns in names:
            self._fought_over.reset(netns)
            self._failing.reset(netns)
            self.queue.put(netns)

    def look_everywhere(self) -> None:
        """Observe every netns again."""
        for netns in self._reconciler.entries:
            self.queue.put(netns)

    # -- looking and acting ----------------------------------------------------------------------

    def _work(self) -> None:
        names = self.queue.take(_BATCH)
        if names:
            self._reconcile(names)
        self.queue.wake()

    def _reconcile(self, names: Sequence[NetnsName]) -> None:
        began_s = time.monotonic()
        held = {netns for netns in names if self._revocations.holds(netns)}
        names = [netns for netns in names if netns not in held]
        self.queue.drop(names)
        self.queue.put_back(held)
        try:
            reports = self._reconciler.reconcile(names)
        except JournalError as error:
            _log.error("nothing is changed while the journal cannot be written: %s", error)
            for netns in names:
                self.queue.put(netns, _JOURNAL_RETRY_S)
            return
        for report in reports:
            self._digest(report)
        self._observer.reconciled(reports, time.monotonic() - began_s)
        for netns in names:
            self._drift_since.pop(netns, None)
        self._revocations.look(names)
        self._looked_at(names)

    def _looked_at(self, names: Sequence[NetnsName]) -> None:
        """Let everybody know who follows what becomes of these netns."""
        for netns in names:
            entry = self._reconciler.entries.get(netns)
            if entry is None or entry.cookie is None:
                self._events.ignore(netns)
            elif self._is_told and self._events.watch(netns, entry.cookie):
                self.queue.put(netns)  # somebody may have committed before we listened
        self._keeper.keep(names)
        self.source.reconciled(names)
        self._pulse.beat()

    def _on_revoked(self, netns: NetnsName, outcome: Outcome) -> None:
        if isinstance(outcome, Revoked):
            for each in revoked_as_data(outcome):
                level = logging.WARNING if each["left"] else logging.INFO
                _log.log(level, "%s: %s", netns, in_words(each))
            self._observer.revoked(outcome)
        self._looked_at([netns])
        self.queue.wake()

    def _digest(self, report: Report) -> None:
        if report.error is not None:
            level = logging.INFO if isinstance(report.error, NetnsAbsent) else logging.ERROR
            _log.log(level, "%s: %s", report.router, report.error)
            self.queue.put(report.netns, self._failing.delay_s(report.netns, time.monotonic()))
            return
        self._failing.reset(report.netns)
        if report.plan is None:
            return
        log_changes(report, report.plan)
        since_s = self._drift_since.pop(report.netns, None)
        if since_s is not None and report.plan.touches_kernel:
            took_s = time.monotonic() - since_s
            _log.warning("%s: drift repaired after %.1f ms", report.router, took_s * 1000)
            self._observer.repaired(took_s)
            self.source.repaired(report, took_s)
            self._pulse.repaired(report, took_s)

    # -- tasks -----------------------------------------------------------------------------------

    async def _sweeps(self) -> None:
        while True:
            await self._until_the_next_sweep()
            began_s = time.monotonic()
            names = list(self._reconciler.entries)
            for start in range(0, len(names), _BATCH):
                batch = names[start : start + _BATCH]
                for netns in batch:
                    entry = self._reconciler.entries.get(netns)
                    if entry is not None:
                        entry.retry_refused()
                self._reconcile(batch)
                await asyncio.sleep(0)
            self._observer.swept(time.monotonic() - began_s)

    def sweep_every(self, interval_s: float) -> None:
        """Sweep at another interval, which begins now."""
        self._sweep_interval_s = interval_s
        self._interval_changed.set()

    async def _until_the_next_sweep(self) -> None:
        while True:
            self._interval_changed.clear()
            try:
                async with asyncio.timeout(self._sweep_interval_s):
                    await self._interval_changed.wait()
            except TimeoutError:
                return

    async def _waits(self) -> None:
        while True:
            await asyncio.sleep(_DIRECTORY_POLL_S)
            if self._namespaces.wait_for_directory():
                self.look_everywhere()

    async def _beats(self) -> None:
        interval_s = systemd.watchdog_interval_s() if self._alone else None
        while True:
            # Without a watchdog there is nobody to tell, but the task must not end.
            await asyncio.sleep(interval_s or 3600.0)
            systemd.notify("WATCHDOG=1")


def _is_later(generation: int, known: int) -> bool:
    """Tell whether *generation* comes after *known*; both have 32 bits, and start again."""
    return 0 < (generation - known) & 0xFFFFFFFF < 1 << 31
