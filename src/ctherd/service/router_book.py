"""Every router that the server keeps, parsed once for each revision of its record.

It follows the mirror: reading costs neither JSON nor cryptography. A record whose seal does not fit
is known, and refused to whoever asks for it; its neighbours are not harmed.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ctherd.errors import RemoteProtocolError
from ctherd.model.document import RouterId
from ctherd.model.router import ProjectId, Router
from ctherd.service.publish import Publication
from ctherd.service.records import ROUTERS, read_router, router_key
from ctherd.service.refusals import RecordUnsound
from ctherd.signing.envelope import SignatureRefused, Verifier
from ctherd.store.mirror import Mirror
from ctherd.store.port import Batch, Put, Revision, Stored

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """A router as the store has it at *revision*."""

    router: Router
    revision: Revision


class RouterBook:
    """Looks routers up in a mirror that covers them.

    Shape: *verifier* returns who is trusted now.
    """

    def __init__(self, mirror: Mirror, verifier: Callable[[], Verifier]) -> None:
        self._verifier = verifier
        self._kept: dict[RouterId, Kept] = {}
        self._unsound: set[RouterId] = set()
        self._announced: dict[RouterId, tuple[bytes, Router]] = {}
        self._of_project: dict[ProjectId, dict[RouterId, Kept]] = defaultdict(dict)
        for stored in mirror.under(ROUTERS):
            self._enter(stored)
        self._stop = mirror.subscribe(self._follow)

    def close(self) -> None:
        """Follow the mirror no longer."""
        self._stop()

    def find(self, router: str) -> Kept | None:
        """Return *router*, None if there is none.

        Raises: RecordUnsound.
        """
        if router in self._unsound:
            raise RecordUnsound(RouterId(router))
        return self._kept.get(RouterId(router))

    def projects(self) -> Iterable[ProjectId]:
        """Return every project that has, or had, a router."""
        return self._of_project.keys()

    def of_project(self, project: ProjectId) -> Iterable[Kept]:
        """Return every sound router of *project*, in no order."""
        return self._of_project[project].values() if project in self._of_project else ()

    def helper_count(self, project: ProjectId) -> int:
        """Return how many helpers all routers of *project* have."""
        return sum(len(kept.router.helpers) for kept in self.of_project(project))

    @contextmanager
    def announced(self, publications: Iterable[Publication]) -> Iterator[None]:
        """Take the very bytes of *publications* for the routers that they were made from.

        Our own records need not be parsed and verified when they come back; that would be a
        quarter of what a change costs.
        """
        announced = {
            each.router.id: (write.value, each.router)
            for each in publications
            if each.router is not None
            for write in each.writes
            if isinstance(write, Put) and write.key == router_key(each.router.id)
        }
        self._announced |= announced
        try:
            yield
        finally:
            for router in announced:
                self._announced.pop(router, None)

    def open(self, stored: Stored) -> Kept:
        """Return the router whose record *stored* is.

        Raises: RecordUnsound.
        """
        router = _router_of(stored.key)
        value, ours = self._announced.get(router, (None, None))
        if ours is not None and value == stored.value:
            return Kept(ours, stored.revision)
        try:
            found = read_router(stored.value, self._verifier())
            if found.id != router:
                raise RemoteProtocolError(f"it is that of router {found.id}")
        except (SignatureRefused, RemoteProtocolError) as error:
            _log.error("router %s: the record is not the one a server wrote: %s", router, error)
            raise RecordUnsound(router) from error
        return Kept(found, stored.revision)

    def _follow(self, batch: Batch) -> None:
        for event in batch.events:
            if not event.key.startswith(ROUTERS):
                continue
            self._strike(_router_of(event.key))
            if event.value is not None:
                self._enter(Stored(event.key, event.value, event.revision))

    def _enter(self, stored: Stored) -> None:
        try:
            kept = self.open(stored)
        except RecordUnsound:
            self._unsound.add(_router_of(stored.key))
            return
        self._kept[kept.router.id] = kept
        self._of_project[kept.router.project][kept.router.id] = kept

    def _strike(self, router: RouterId) -> None:
        self._unsound.discard(router)
        kept = self._kept.pop(router, None)
        if kept is not None:
            del self._of_project[kept.router.project][router]


def _router_of(key: str) -> RouterId:
    return RouterId(key.removeprefix(ROUTERS))
