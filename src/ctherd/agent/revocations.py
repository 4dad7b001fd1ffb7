"""Revokes beside the agent's loop: in a thread, one netns at a time.

Reading the flows of one crowded router takes longer than committing to a hundred, and none of them
shall wait for it. Only the netns itself is not reconciled meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ctherd.agent.patience import Patience
from ctherd.errors import JournalError, NetnsAbsent
from ctherd.model.document import NetnsName
from ctherd.ports import Revocation, Revoked, Revoker
from ctherd.reconcile.reconciler import Reconciler
from ctherd.service.revocations import Outcome

_log: Final = logging.getLogger("ctherd.agent")


class Revocations:
    """Pays what routers owe to their live flows.

    Shape: *done* is called with what came of it, when the netns may be reconciled again.
    """

    def __init__(
        self, reconciler: Reconciler, revoker: Revoker, done: Callable[[NetnsName, Outcome], None]
    ) -> None:
        self._reconciler = reconciler
        self._revoker = revoker
        self._done = done
        self._due: dict[NetnsName, None] = {}
        self._waiting: set[NetnsName] = set()
        self._patience = Patience(1.0, 60.0)
        self._under_way: NetnsName | None = None
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._serial = 0
        self._outcomes: dict[NetnsName, tuple[int, Outcome]] = {}

    @property
    def serial(self) -> int:
        """A number that grows with every outcome."""
        return self._serial

    def holds(self, netns: NetnsName) -> bool:
        """Tell whether *netns* must not be reconciled just now."""
        return netns == self._under_way

    def look(self, names: Iterable[NetnsName]) -> None:
        """See whether these netns owe something; unknown ones are no error."""
        entries = self._reconciler.entries
        owing = (name for name in names if (entry := entries.get(name)) is not None and entry.owed)
        self._due.update(dict.fromkeys(name for name in owing if name not in self._waiting))
        if self._due:
            self._idle.clear()
            self._work.set()

    async def idle(self) -> None:
        """Wait until nothing is under way or due."""
        await self._idle.wait()

    def since(self, serial: int) -> Mapping[NetnsName, Outcome]:
        """Return the outcomes that came after *serial*."""
        return {name: each for name, (number, each) in self._outcomes.items() if number > serial}

    async def run(self) -> None:
        """Revoke until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._due:
                netns = next(iter(self._due))
                del self._due[netns]
                for revocation in self._reconciler.owing([netns]):
                    await self._revoke(revocation)
            self._idle.set()

    async def _revoke(self, revocation: Revocation) -> None:
        netns = self._under_way = revocation.netns
        try:
            outcome = await asyncio.to_thread(self._revoker.revoke, revocation)
        finally:
            self._under_way = None
        if isinstance(outcome, Revoked):
            self._settle(outcome)
        elif not isinstance(outcome, NetnsAbsent):
            _log.error("%s: cannot revoke, it is tried again: %s", netns, outcome)
        self._serial += 1
        self._outcomes[netns] = self._serial, outcome
        self._retry(netns, outcome)
        self._done(netns, outcome)

    def _settle(self, outcome: Revoked) -> None:
        try:
            self._reconciler.settle([outcome])
        except JournalError as error:
            # What was paid is paid again by the next start, which does no harm.
            _log.error("%s: what was revoked could not be recorded: %s", outcome.netns, error)

    def _retry(self, netns: NetnsName, outcome: Outcome) -> None:
        entry = self._reconciler.entries.get(netns)
        if entry is None or not entry.owed or isinstance(outcome, NetnsAbsent):
            self._patience.reset(netns)
            return
        self._waiting.add(netns)
        delay_s = self._patience.delay_s(netns, time.monotonic())
        asyncio.get_running_loop().call_later(delay_s, self._again, netns)

    def _again(self, netns: NetnsName) -> None:
        self._waiting.discard(netns)
        self.look([netns])
