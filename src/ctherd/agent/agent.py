"""The agent: keeps one host as its herd file declares.

It owns the time and the queue; what to do to a netns is the reconciler's affair. Whatever happens
only says *where* to look: events of the kernel, of the netns directory, of the file; and a slow
sweep looks everywhere in case one was lost.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from ctherd import systemd
from ctherd.agent import control
from ctherd.agent.files import Files
from ctherd.agent.kernel_events import KernelEvents
from ctherd.agent.patience import Patience
from ctherd.errors import CtherdError, InvalidDeclaration, JournalError, NetnsAbsent, NotFound
from ctherd.model.document import Document, NetnsName
from ctherd.netns.directory import NetnsDirectory
from ctherd.plan.explain import why
from ctherd.reconcile.reconciler import Report
from ctherd.service.host import Answer, HostService

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

    def swept(self, seconds: float) -> None:
        """Every netns was looked at."""


class Agent:
    """Enforces one herd file.

    Shape: *read_herd* returns the file's documents or raises InvalidDeclaration; *reload_policy*
    applies a changed configuration; *keep* puts what guards a netns into safe keeping.
    """

    def __init__(
        self,
        service: HostService,
        directory: NetnsDirectory,
        herd: Path,
        read_herd: Callable[[Path], Sequence[Document]],
        *,
        state_dir: Path,
        sweep_interval_s: float,
        reload_policy: Callable[[], None],
        observer: Observer,
        keep: Callable[[Iterable[NetnsName]], None] = lambda _: None,
    ) -> None:
        self._service = service
        self._reconciler = service.reconciler
        self._directory = directory
        self._herd = herd
        self._read_herd = read_herd
        self._state_dir = state_dir
        self._sweep_interval_s = sweep_interval_s
        self._reload_policy = reload_policy
        self._observer = observer
        self._keep = keep
        self._held: Sequence[Document] | None = None
        self._due: dict[NetnsName, float] = {}
        self._drift_since: dict[NetnsName, float] = {}
        self._failing = Patience(0.05, 30.0)
        self._fought_over = Patience(0.0, 5.0)
        self._wakeup: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Enforce until told to end; the kernel stays as it is then."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        self._events = KernelEvents(
            self._directory,
            loop.add_reader,
            loop.remove_reader,
            on_commit=self._on_commit,
            on_gone=self._on_gone,
            on_overflow=self._look_everywhere,
        )
        self._files = Files(
            self._herd,
            self._directory.path,
            on_herd=self._on_herd,
            on_netns=self._on_netns,
            on_overflow=self._look_everywhere,
        )
        loop.add_reader(self._files.fileno(), self._files.read)
        server = await control.serve(self._state_dir, self._answer)
        try:
            self._start()
            background = [
                asyncio.create_task(each) for each in (self._sweeps(), self._waits(), self._beats())
            ]
            systemd.notify("READY=1")
            _log.info("in sync: %d routers", len(self._reconciler.entries))
            await self._end_of(background)
        finally:
            systemd.notify("STOPPING=1")
            server.close()
            loop.remove_reader(self._files.fileno())
            self._files.close()
            self._events.close()
            _log.info("ended; the kernel stays as it is")

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
        """Begin with the file; if it cannot be had or is unsafe, with what was last applied."""
        if not self._load(at_start=True):
            self._reconciler.accept(self._service.managed_documents())
        self._look_everywhere()
        self._work()
        if not self._due:
            self._directory.drop_inherited()

    def _load(self, *, at_start: bool = False) -> bool:
        try:
            documents = self._read_herd(self._herd)
        except InvalidDeclaration as error:
            _log.error("the herd file is not used, everything stays as it is: %s", error)
            return False
        unsafe = self._service.danger(documents)
        if unsafe:
            self._held = documents
            _log.warning("held as unsafe until `ctherd confirm`: %s", unsafe)
            return False
        self._accept(documents)
        return True

    def _accept(self, documents: Sequence[Document]) -> None:
        self._held = None
        for netns in self._reconciler.accept(documents):
            self._fought_over.reset(netns)
            self._failing.reset(netns)
            self._look_at(netns)

    def _on_herd(self) -> None:
        _log.info("%s was written", self._herd)
        self._load()

    def _on_hangup(self) -> None:
        try:
            self._reload_policy()
        except CtherdError as error:
            _log.error("the configuration stays as it was: %s", error)
        self._load()
        self._look_everywhere()

    # -- where to look ---------------------------------------------------------------------------

    def _on_commit(self, netns: NetnsName, generation: int) -> None:
        entry = self._reconciler.entries.get(netns)
        if entry is None:
            return
        if entry.observed is not None and entry.observed.generation == generation:
            return  # our own commit: it is known already
        now_s = time.monotonic()
        self._drift_since.setdefault(netns, now_s)
        self._look_at(netns, self._fought_over.delay_s(netns, now_s))

    def _on_gone(self, netns: NetnsName) -> None:
        if netns in self._reconciler.entries:
            self._look_at(netns)

    def _on_netns(self, netns: NetnsName, came: bool) -> None:
        if not came:
            # Our socket would keep a deleted netns alive.
            self._events.ignore(netns)
            self._reconciler.release((netns,))
            systemd.notify(f"FDSTOREREMOVE=1\nFDNAME={systemd.fd_name(netns)}")
        if netns not in self._reconciler.entries:
            return
        self._failing.reset(netns)
        self._look_at(netns)

    def _look_everywhere(self) -> None:
        for netns in self._reconciler.entries:
            self._look_at(netns)

    def _look_at(self, netns: NetnsName, delay_s: float = 0.0) -> None:
        due_s = time.monotonic() + delay_s
        if due_s < self._due.get(netns, float("inf")):
            self._due[netns] = due_s
            self._wake()

    def _wake(self) -> None:
        if not self._due:
            return
        loop = asyncio.get_running_loop()
        if self._wakeup is not None:
            self._wakeup.cancel()
        wait_s = min(self._due.values()) - time.monotonic()
        self._wakeup = loop.call_later(max(0.0, wait_s), self._work)

    # -- looking and acting ----------------------------------------------------------------------

    def _work(self) -> None:
        now_s = time.monotonic()
        names = [netns for netns, due_s in self._due.items() if due_s <= now_s][:_BATCH]
        for netns in names:
            del self._due[netns]
        if names:
            self._reconcile(names)
        self._wake()

    def _reconcile(self, names: Sequence[NetnsName]) -> list[Report]:
        began_s = time.monotonic()
        try:
            reports = self._reconciler.reconcile(names)
        except JournalError as error:
            _log.error("nothing is changed while the journal cannot be written: %s", error)
            for netns in names:
                self._look_at(netns, _JOURNAL_RETRY_S)
            return []
        for report in reports:
            self._digest(report)
        self._observer.reconciled(reports, time.monotonic() - began_s)
        for netns in names:
            self._drift_since.pop(netns, None)
            entry = self._reconciler.entries.get(netns)
            if entry is None or entry.cookie is None:
                self._events.ignore(netns)
            elif self._events.watch(netns, entry.cookie):
                self._look_at(netns)  # somebody may have committed before we listened
        self._keep(names)
        return reports

    def _digest(self, report: Report) -> None:
        if report.error is not None:
            level = logging.INFO if isinstance(report.error, NetnsAbsent) else logging.ERROR
            _log.log(level, "%s: %s", report.router, report.error)
            self._look_at(report.netns, self._failing.delay_s(report.netns, time.monotonic()))
            return
        self._failing.reset(report.netns)
        if report.plan is None:
            return
        for change in report.plan.changes:
            _log.info(
                "%s: %s %s: %s",
                report.router,
                change.verb,
                change.key,
                why(change, report.plan.holder),
            )
        for repair in report.plan.repairs:
            _log.warning("%s: repaired: %s", report.router, repair)
        for key, refusal in report.refused.items():
            _log.error("%s: the kernel refuses %s: %s", report.router, key, refusal.words)
        since_s = self._drift_since.pop(report.netns, None)
        if since_s is not None and report.plan.touches_kernel:
            took_s = time.monotonic() - since_s
            _log.warning("%s: drift repaired after %.1f ms", report.router, took_s * 1000)
            self._observer.repaired(took_s)

    # -- tasks -----------------------------------------------------------------------------------

    async def _sweeps(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_interval_s)
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

    async def _waits(self) -> None:
        while True:
            await asyncio.sleep(_DIRECTORY_POLL_S)
            if self._files.wait_for_directory():
                self._look_everywhere()

    async def _beats(self) -> None:
        interval_s = systemd.watchdog_interval_s()
        while True:
            # Without a watchdog there is nobody to tell, but the task must not end.
            await asyncio.sleep(interval_s or 3600.0)
            systemd.notify("WATCHDOG=1")

    # -- the control socket ----------------------------------------------------------------------

    def _answer(self, request: dict[str, Any]) -> Answer:
        match request.get("operation"):
            case "show":
                return self._service.show(str(request.get("router", "")))
            case "plan":
                documents = self._read_herd(Path(str(request["file"])))
                return self._service.plan(documents, partial=bool(request.get("partial")))
            case "apply":
                return self._apply(request)
            case "confirm":
                return self._confirm()
        raise NotFound(f"the agent knows no operation {request.get('operation')!r}")

    def _apply(self, request: dict[str, Any]) -> Answer:
        asked = Path(str(request["file"]))
        if asked.resolve() != self._herd.resolve() or request.get("partial"):
            raise InvalidDeclaration(
                f"the running agent enforces all of {self._herd}, and nothing else",
                where=str(asked),
                cure="change that file, or end the agent",
            )
        documents = self._read_herd(self._herd)
        answer = self._service.apply(documents, confirmed=bool(request.get("confirmed")))
        self._held = None
        self._look_everywhere()
        return answer

    def _confirm(self) -> Answer:
        if self._held is None:
            return {"message": "nothing is held"}
        unsafe = self._service.danger(self._held)
        self._accept(self._held)
        return {"message": f"confirmed: {unsafe or 'the held file'}"}
