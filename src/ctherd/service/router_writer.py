"""Carries out changes of routers: read, decide, commit; all of it again when somebody was faster.

The decision is made anew for each reading, so that a duplicate, a quota or an overlap is judged by
what stands at the moment of the commit, and by nothing older.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ctherd.authz.audit.entry import AuditEntry
from ctherd.errors import Contended
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.router import HostName, Placement
from ctherd.service.committer import Committer
from ctherd.service.publish import Publication
from ctherd.service.records import PLACES, ROUTERS, router_key
from ctherd.service.refusals import PlaceTaken
from ctherd.service.router_book import Kept, RouterBook
from ctherd.service.turns import Turns
from ctherd.store.mirror import Mirror
from ctherd.store.port import Conflict, Expect, Store, Write

_TRIES: Final = 16


@dataclass(frozen=True, slots=True)
class Edit:
    """What was decided: the publication, what else belongs to its commit, and its audit entry."""

    publication: Publication
    entry: AuditEntry
    expects: tuple[Expect, ...] = ()
    writes: tuple[Write, ...] = ()


Decide = Callable[[Kept | None], Edit | None]
"""Says what to do with a router as it is now (None: there is none); None: nothing at all."""


class RouterWriter:
    """The only way in which use cases change a router."""

    def __init__(
        self, book: RouterBook, store: Store, mirror: Mirror, committer: Committer
    ) -> None:
        self._book = book
        self._store = store
        self._mirror = mirror
        self._committer = committer
        self._turns = Turns()

    async def carry_out(self, router: RouterId, decide: Decide) -> Publication | None:
        """Decide and commit; return what was published, None if nothing was to do.

        Raises: what *decide* raises; PlaceTaken; Contended if others were faster again and again;
        Unavailable, Overloaded.
        """
        async with self._turns.of(router):
            kept = self._book.find(router)
            for _ in range(_TRIES):
                edit = decide(kept)
                if edit is None:
                    return None
                conflict = await self._commit(edit)
                if conflict is None:
                    return edit.publication
                kept = await self._look_again(router, kept, conflict)
        raise Contended("others kept changing this router", where=router)

    async def declare(self, publications: Sequence[Publication], entry: AuditEntry) -> None:
        """Commit new routers, all of them or none.

        Raises: PlaceTaken; Unavailable, Overloaded.
        """
        expects = [each for publication in publications for each in publication.expects]
        caused = (publication.caused_by(entry.request_id) for publication in publications)
        writes = [each for some in caused for each in some]
        with self._book.announced(publications):
            outcome = await self._committer.commit(expects, writes, entry)
        if isinstance(outcome, Conflict):
            raise _place_taken(outcome) or Contended("an id was drawn that exists")

    async def _commit(self, edit: Edit) -> Conflict | None:
        publication = edit.publication
        expects = [*publication.expects, *edit.expects]
        writes = [*publication.caused_by(edit.entry.request_id), *edit.writes]
        with self._book.announced([publication]):
            outcome = await self._committer.commit(expects, writes, edit.entry)
        return outcome if isinstance(outcome, Conflict) else None

    async def _look_again(
        self, router: RouterId, kept: Kept | None, conflict: Conflict
    ) -> Kept | None:
        if conflict.key.startswith(ROUTERS):
            # The mirror may still be behind what refused us.
            stored = await self._store.get(router_key(router))
            return None if stored is None else self._book.open(stored)
        if taken := _place_taken(conflict):
            raise taken
        if conflict.current is not None:
            await self._mirror.reached(conflict.current.revision)
        return kept


def _place_taken(conflict: Conflict) -> PlaceTaken | None:
    if not conflict.key.startswith(PLACES):
        return None
    host, netns = conflict.key.removeprefix(PLACES).split("/", 1)
    return PlaceTaken(Placement(HostName(host), NetnsName(netns)))
