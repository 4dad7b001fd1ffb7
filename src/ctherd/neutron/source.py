"""Neutron as the source of documents: events say where to look, a pull says what shall be there.

Goals, and the tension between them: nothing may be removed that is merely not known, and orphans
of any age shall go. So the agent is in sync from the start, with what the journal remembers as the
desired state of every router, and each answer of the server replaces one router's. A pull that
failed is not an empty answer: it is repeated.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ctherd.agent.backoff import Backoff
from ctherd.agent.source import Enforcer
from ctherd.errors import NetnsAbsent, NotFound
from ctherd.model.document import Document, NetnsName, RouterId
from ctherd.neutron.desired import Desired, Row, desired
from ctherd.neutron.pull import Pull
from ctherd.neutron.roster import Roster
from ctherd.neutron.takeover import Takeover
from ctherd.reconcile.reconciler import Report
from ctherd.service.host_answers import Answer

_log: Final = logging.getLogger("ctherd.neutron")

_MOST_AT_ONCE: Final = 200
"""Routers that one pull asks for."""

_SPREAD: Final = 0.2
"""By how much of it an interval is shortened or prolonged, so that agents do not pull together."""


class _Answer(NamedTuple):
    """What the server said last of the router that lives in *home*, and what that means."""

    home: NetnsName
    said: tuple[tuple[Any, ...], ...]
    means: Desired


class NeutronSource:
    """Tells an agent what the server says of the routers on *roster*."""

    def __init__(self, roster: Roster, pull: Pull, takeover: Takeover, interval_s: float) -> None:
        self._roster = roster
        self._takeover = takeover
        self._pull = pull
        self._interval_s = interval_s
        self._backoff = Backoff(0.5, 30.0)
        self._most = _MOST_AT_ONCE
        self._answers: dict[RouterId, _Answer] = {}
        self._due = asyncio.Event()

    @property
    def in_sync(self) -> bool:
        """Whether the server has answered for every router."""
        return not self._unknown()

    def doubts(self) -> Mapping[str, int]:
        """Return how many routers have no answer yet, and how many helpers are refused."""
        refused = sum(len(each.means.refused) for each in self._answers.values())
        return {"not pulled": len(self._unknown()), "refused": refused}

    def _unknown(self) -> list[RouterId]:
        """Return the routers for which the server has not answered yet."""
        return [each for each in self._roster.everybody() if each not in self._answers]

    def begin(self, agent: Enforcer) -> None:
        """Keep what is there, until the server says otherwise.

        Raises: CtherdError if it cannot be learned what Neutron's extension left.
        """
        self._agent = agent
        remembered = self._takeover.documents(agent.service.managed_documents())
        agent.accept(remembered)
        for each in remembered:
            self._roster.remember(each.router, each.netns)
        self._roster.tell(self._tell_from_anywhere(asyncio.get_running_loop()))

    async def run(self) -> None:
        """Pull what is due, and everything now and then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._refresh())
            tasks.create_task(self._takeover.run())
            while True:
                await self._due.wait()
                self._due.clear()
                await self._pull_due()

    def reload(self) -> None:
        """Ask for everything again."""
        self._roster.call_for(self._roster.everybody())

    def reconciled(self, names: Sequence[NetnsName]) -> None:
        """Forget routers that are gone, and remove what Neutron's extension left of others."""
        for name in names:
            self._forget_if_gone(name)
        self._remove_left(names)

    def _remove_left(self, names: Iterable[NetnsName]) -> None:
        self._takeover.remove(
            [each for each in names if each in self._takeover and self._is_true(each)]
        )

    def _forget_if_gone(self, netns: NetnsName) -> None:
        """Forget a router whose netns is gone, unless the L3 agent says that it has it."""
        entry = self._agent.service.reconciler.entries.get(netns)
        if entry is None or entry.document is None or type(entry.error) is not NetnsAbsent:
            return
        if not self._roster.is_announced(entry.router):
            self._roster.forget(entry.router)
            self._agent.withdraw([netns])

    def _is_true(self, netns: NetnsName) -> bool:
        """Tell whether what the server says of *netns* is in the kernel."""
        entry = self._agent.service.reconciler.entries.get(netns)
        if entry is None:
            return True  # nothing is wanted there, and nothing of ours is left
        if entry.router not in self._answers or entry.error is not None or entry.observed is None:
            return False
        return entry.observed.live.keys() == entry.desired.keys() and not entry.refused

    def repaired(self, report: Report, seconds: float) -> None:
        """The server is told nothing."""

    def answer(self, request: dict[str, Any]) -> Answer:
        """Refuse: the server decides what is wanted.

        Raises: NotFound, always.
        """
        raise NotFound(
            f"the L3 agent knows no operation {request.get('operation')!r}",
            cure="helpers are declared by Neutron's API",
        )

    def close(self) -> None:
        """Let what is called for wait for the next one."""
        self._roster.tell(lambda: None)

    # -- pulling ---------------------------------------------------------------------------------

    def _tell_from_anywhere(self, loop: asyncio.AbstractEventLoop) -> Any:
        return lambda: loop.call_soon_threadsafe(self._due.set)

    async def _refresh(self) -> None:
        random = self._backoff.random
        while True:
            await asyncio.sleep(self._interval_s * random.uniform(1 - _SPREAD, 1 + _SPREAD))
            self._roster.call_for(self._roster.everybody())

    async def _pull_due(self) -> None:
        routers, left = self._roster.take()
        if left:
            self._agent.withdraw(left)
        for gone in self._answers.keys() - set(self._roster.everybody()):
            del self._answers[gone]
        while routers:
            batch, routers = routers[: self._most], routers[self._most :]
            if not await self._pull_batch(batch):
                # Those that were not asked for yet may fare better.
                self._roster.call_for([*routers, *batch])
                await asyncio.sleep(self._backoff.wait_s())
                return

    async def _pull_batch(self, routers: Sequence[RouterId]) -> bool:
        """Take over what the server says of *routers*; return false if it says nothing."""
        try:
            rows = await asyncio.to_thread(self._pull, routers)
        except Exception:  # noqa: BLE001 - logged with its traceback
            # The bus and the server raise what they like; one router may be what they stumble on.
            _log.exception("what %d routers shall have cannot be learned now", len(routers))
            self._most = max(1, len(routers) // 2)
            return False
        self._most = min(_MOST_AT_ONCE, 2 * self._most)
        self._backoff.reset()
        helpers = sum(map(len, rows.values()))
        _log.debug("the server says: %d helpers on %d routers", helpers, len(rows))
        self._take_over(rows)
        return True

    def _take_over(self, rows: Mapping[RouterId, Sequence[Row]]) -> None:
        documents, empty = [], []
        for router, found in rows.items():
            home = self._roster.home_of(router)
            if home is None:
                continue  # it left while the server was asked
            wanted = self._desired(router, home, found)
            if wanted.assignments:
                documents.append(wanted)
            else:
                empty.append(home)
        self._agent.accept(documents, complete=False)
        self._agent.withdraw(empty)
        # What was true already is not looked at for this.
        self._remove_left([*(each.netns for each in documents), *empty])

    def _desired(self, router: RouterId, home: NetnsName, rows: Sequence[Row]) -> Document:
        # Most answers are the last one again, and reading the rows is cheaper than what follows.
        said = tuple((each.id, each.protocol, each.port, each.helper) for each in rows)
        before = self._answers.get(router)
        if before is not None and before.home == home and before.said == said:
            return before.means.document
        entry = self._agent.service.reconciler.entries.get(home)
        means = desired(router, home, rows, entry.managed if entry else {})
        known = before.means.refused if before else {}
        for each, why in means.refused.items():
            if known.get(each) != why:
                _log.error("%s: helper %s is left out: %s", router, each, why)
        self._answers[router] = _Answer(home, said, means)
        return means.document
