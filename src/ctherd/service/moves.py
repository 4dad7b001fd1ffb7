"""Sees to it that a moved router is placed, although a host that it left does not acknowledge.

A silent host is not waited for: whoever forwards the router's packets now must help them.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from ctherd.authz.audit.entry import AuditEntry, Decision
from ctherd.errors import CtherdError
from ctherd.model.router import Router
from ctherd.service.committer import Committer
from ctherd.service.documents import Documents
from ctherd.service.hosts import Hosts
from ctherd.service.publish import Publisher
from ctherd.service.router_book import RouterBook
from ctherd.store.port import Conflict

_log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 1.0


class Moves:
    """Waits *patience_s* for hosts to acknowledge, and not at all for silent ones.

    Shape: *clock* returns seconds since 1970; between ``start`` and ``close``.
    """

    def __init__(
        self,
        committer: Committer,
        book: RouterBook,
        documents: Documents,
        hosts: Hosts,
        publisher: Callable[[], Publisher],
        *,
        patience_s: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._committer = committer
        self._book = book
        self._documents = documents
        self._hosts = hosts
        self._publisher = publisher
        self._patience_s = patience_s
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._work(), name="moves")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> None:
        """Place what was waited for enough."""
        for router in {each.router for each in self._documents.tombstones()}:
            try:
                kept = self._book.find(router)
                if kept is not None and kept.router.held and self._waited_enough(kept.router):
                    await self._release(kept.router)
            except CtherdError as error:
                _log.warning("router %s stays where it is held: %s", router, error)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - the top of a worker, which logs the traceback
                _log.exception("moves could not be looked at")

    def _waited_enough(self, router: Router) -> bool:
        now = self._clock()
        return all(
            not self._hosts.is_alive(placement.host)
            or now - datetime.fromisoformat(since).timestamp() > self._patience_s
            for placement, since in router.withdrawing.items()
        )

    async def _release(self, router: Router) -> None:
        kept = self._book.find(router.id)
        if kept is None:
            return
        publication = self._publisher().release(kept.router, kept.revision)
        slow = sorted({each.host for each in router.withdrawing})
        entry = AuditEntry(
            caller=None,
            address="",
            request_id="",
            action="place_router_unacknowledged",
            decision=Decision.ALLOWED,
            rule="moves",
            project=router.project,
            router=router.id,
            after={"unacknowledged": slow, "placed": [list(each) for each in router.held]},
        )
        outcome = await self._committer.commit(publication.expects, publication.writes, entry)
        if not isinstance(outcome, Conflict):
            _log.warning("router %s is placed, though %s did not acknowledge", router.id, slow)
