"""Runs ctherd's agent in a thread of the L3 agent.

What fails ends that thread's loop, never the L3 agent: it is told with its traceback, and begun
again after a while. What was called for meanwhile waits on the roster.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Final

from ctherd.agent.agent import Agent
from ctherd.agent.backoff import Backoff
from ctherd.dataplane.modules import HelperModules
from ctherd.errors import CtherdError
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.journal.lines import as_lines
from ctherd.journal.sqlite import SqliteJournal
from ctherd.main.config import Config
from ctherd.main.wiring import netns_directory
from ctherd.model.assignment import ANY, AssignmentKey
from ctherd.model.document import NetnsName
from ctherd.neutron.hearing import Hearing
from ctherd.neutron.pull import Pull
from ctherd.neutron.remote import Calls, RemoteDataplane, RemoteRevoker, ask
from ctherd.neutron.roster import Roster
from ctherd.neutron.source import NeutronSource
from ctherd.neutron.takeover import Takeover
from ctherd.ports import Revoked
from ctherd.reconcile.reconciler import Report
from ctherd.service.host import HostService
from ctherd.service.host_answers import Answer

_log: Final = logging.getLogger("ctherd.neutron")


class _Unmeasured:
    """Nobody asks for metrics."""

    def reconciled(self, reports: Sequence[Report], seconds: float) -> None: ...

    def repaired(self, seconds: float) -> None: ...

    def revoked(self, revoked: Revoked) -> None: ...

    def swept(self, seconds: float) -> None: ...


class _Flushing:
    """Keeps nothing (agent.Keeper), but lets go of what was released."""

    def __init__(self, dataplane: RemoteDataplane) -> None:
        self._dataplane = dataplane

    def keep(self, names: Iterable[NetnsName]) -> None:
        self._dataplane.flush()

    def forget(self, netns: NetnsName) -> None:
        self._dataplane.flush()

    def settle(self) -> None:
        self._dataplane.flush()


class Enforcement:
    """An agent that enforces what the server says of the routers on *roster*.

    Shape: *calls* reach the privileged side; *pull* asks the server, every *pull_interval_s*.
    """

    def __init__(
        self,
        config: Config,
        roster: Roster,
        calls: Calls,
        pull: Pull,
        *,
        journal: Callable[[], SqliteJournal],
        pull_interval_s: float,
    ) -> None:
        self._config = config
        self._policy = config.policy
        self._roster = roster
        self._calls = calls
        self._pull = pull
        self._journal = journal
        self._pull_interval_s = pull_interval_s
        self._backoff = Backoff(0.5, 30.0)
        self._complaint = ""
        self._stopped = threading.Event()
        self._began = threading.Event()
        self._running: tuple[asyncio.AbstractEventLoop, Agent] | None = None
        self._thread = threading.Thread(target=self._run, name="ctherd", daemon=True)

    def start(self) -> None:
        """Begin, in another thread."""
        self._thread.start()

    def wait_until_begun(self, timeout_s: float) -> bool:
        """Wait until what was in force is in force; return false if that takes longer."""
        return self._began.wait(timeout_s)

    def set_policy(self, policy: Policy) -> None:
        """Judge everything by another policy, now and from now on."""
        self._policy = policy
        self._in_loop(lambda agent: agent.reload())

    def stop(self) -> None:
        """End; the kernel stays as it is."""
        self._stopped.set()
        self._in_loop(lambda agent: agent.end())
        self._thread.join()

    def _in_loop(self, work: Callable[[Agent], None]) -> None:
        running = self._running
        if running is not None:
            loop, agent = running
            loop.call_soon_threadsafe(work, agent)

    # -- in the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._enforce()
            except CtherdError as error:
                self._complain(str(error))
            except Exception:  # noqa: BLE001 - the top of the thread, which logs the traceback
                _log.exception("helpers stay as they are, it is begun again")
            self._stopped.wait(self._backoff.wait_s())

    def _complain(self, words: str) -> None:
        """Say what is wrong, once for as long as it is the same."""
        level = logging.DEBUG if words == self._complaint else logging.ERROR
        self._complaint = words
        _log.log(level, "helpers stay as they are, it is tried again: %s", words)

    def _enforce(self) -> None:
        journal = self._journal()
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve(journal))
        finally:
            self._running = None
            journal.close()

    async def _serve(self, journal: SqliteJournal) -> None:
        dataplane = RemoteDataplane(self._calls)
        _log.info("dataplane %(name)s: %(why)s", dataplane.chosen)
        service = HostService(
            dataplane,
            journal,
            Guard(self._policy),
            self._config.max_removals,
            nat_missing=HelperModules().nat_missing,
            look_around=self._look_around,
            find_trouble=lambda netns, keys: (),
            chosen=dataplane.chosen,
            revoker=RemoteRevoker(self._calls),
            stays=True,
        )
        agent = Agent(
            service,
            netns_directory(self._config.netns_dir),
            NeutronSource(self._roster, self._pull, Takeover(self._calls), self._pull_interval_s),
            state_dir=self._config.state_dir,
            sweep_interval_s=self._config.sweep_interval_s,
            reload=lambda: service.set_guard(Guard(self._policy)),
            observer=_Unmeasured(),
            keeper=_Flushing(dataplane),
            announce=self._on_begun,
            listen=partial(Hearing, self._calls),
            alone=False,
        )
        self._running = asyncio.get_running_loop(), agent
        if not self._stopped.is_set():
            await agent.run()

    def _look_around(self, netns: NetnsName, keys: Collection[AssignmentKey]) -> Answer:
        assert self._running is not None, "only a running agent is asked"
        tag = self._running[1].service.reconciler.entries[netns].tag
        assigned = as_lines(dict.fromkeys(keys, ANY))
        around: Answer = ask("look around", self._calls.look_around, netns, tag, assigned)
        return around

    def _on_begun(self) -> None:
        self._backoff.reset()
        self._complaint = ""
        self._began.set()
