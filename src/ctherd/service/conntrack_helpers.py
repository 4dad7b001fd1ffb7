"""The use cases of a router's helpers: who may, and what comes of it.

The order of judgements is the reference's: policy, then what the catalog and the profile allow,
then whether the router exists, and at last what depends on its other helpers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn
from uuid import uuid4

from ctherd.model.assignment import AssignmentId
from ctherd.model.document import RouterId
from ctherd.model.router import ProjectId, Router
from ctherd.service.asker import Asker
from ctherd.service.helper_edits import (
    ADOPT,
    CREATE,
    DELETE,
    UPDATE,
    HelperEdits,
    helper_of,
)
from ctherd.service.helper_rules import Wanted, judge
from ctherd.service.moments import utc_now
from ctherd.service.permission import Permission
from ctherd.service.refusals import (
    Forbidden,
    HelperNotAllowed,
    HelperUnknown,
    Hidden,
    OverQuota,
    RouterUnknown,
)
from ctherd.service.router_book import Kept, RouterBook
from ctherd.service.router_writer import Edit, RouterWriter

GET: Final = "get_router_conntrack_helper"


class ConntrackHelpers:
    """Reads and changes the helpers of routers, for askers who may.

    Raises: from every method RecordUnsound; from those that change also Forbidden, Hidden,
    Contended, Unavailable, Overloaded.
    """

    def __init__(
        self,
        book: RouterBook,
        writer: RouterWriter,
        edits: HelperEdits,
        permission: Permission,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self._book = book
        self._writer = writer
        self._edits = edits
        self._permission = permission
        self._now = now

    def of_router(self, asker: Asker, router: str) -> Router | None:
        """Return *router* with its helpers, None if there is nothing that *asker* may see."""
        kept = self._book.find(router)
        if kept is None or not self._permission.given(GET, asker, kept.router.project):
            return None
        return kept.router

    def show(self, asker: Asker, router: str, helper: str) -> Router:
        """Return *router*, which has *helper*.

        Raises: HelperUnknown, Hidden.
        """
        found = self._with_helper(router, helper)
        if not self._permission.given(GET, asker, found.project):
            raise Hidden
        return found

    async def create(
        self, asker: Asker, router: str, wanted: Sequence[Wanted]
    ) -> tuple[Router, list[AssignmentId]]:
        """Give *router* all of *wanted*, or nothing; return it, and the new ids in that order.

        Raises: HelperNotAllowed, ProtocolUnsupported, RouterUnknown, DuplicateHelper,
        InvalidDeclaration, OverQuota.
        """
        kept = self._book.find(router)
        if kept is None:
            await self._create_nowhere(asker, router, wanted)
        owner = kept.router
        await self._permission.to_create(CREATE, asker, owner.project, router=owner)
        now = self._now()

        def decide(kept: Kept | None) -> Edit:
            if kept is None:
                raise RouterUnknown(router)
            return self._edits.add(asker, kept, wanted, now)

        after = await self._carry_out(asker, CREATE, owner, decide)
        assert after is not None
        return after, [*after.helpers][-len(wanted) :]

    async def update(
        self, asker: Asker, router: str, helper: str, changes: Mapping[str, Any]
    ) -> Router:
        """Change what *changes* names (fields of Wanted); return the router as it is then.

        Raises: as create; HelperUnknown.
        """
        owner = self._with_helper(router, helper)
        await self._permission.to_change(UPDATE, GET, asker, owner, helper=helper)
        now = self._now()

        def decide(kept: Kept | None) -> Edit | None:
            if kept is None:
                raise HelperUnknown(helper)
            return self._edits.exchange(asker, kept, AssignmentId(helper), changes, now)

        after = await self._carry_out(asker, UPDATE, owner, decide, helper)
        return after or self._with_helper(router, helper)

    async def delete(self, asker: Asker, router: str, helper: str) -> Router:
        """Take *helper* away; return the router as it is then.

        Raises: HelperUnknown.
        """
        owner = self._with_helper(router, helper)
        await self._permission.to_change(DELETE, GET, asker, owner, helper=helper)
        now = self._now()

        def decide(kept: Kept | None) -> Edit:
            if kept is None:
                raise HelperUnknown(helper)
            return self._edits.remove(asker, kept, AssignmentId(helper), now)

        after = await self._carry_out(asker, DELETE, owner, decide, helper)
        assert after is not None
        return after

    async def _create_nowhere(
        self, asker: Asker, router: str, wanted: Sequence[Wanted]
    ) -> NoReturn:
        """Refuse as the reference does: what would not be even if the router were the caller's."""
        project = asker.caller.project
        await self._permission.to_create(CREATE, asker, project)
        if any(each.adopt_flows for each in wanted):
            await self._permission.to_create(ADOPT, asker, project)
        for each in wanted:
            judge(
                each,
                AssignmentId(str(uuid4())),
                asker.caller,
                project or ProjectId(""),
                self._edits.profile(),
            )
        raise RouterUnknown(router)

    async def _carry_out(
        self,
        asker: Asker,
        action: str,
        router: Router,
        decide: Callable[[Kept | None], Edit | None],
        helper: str = "",
    ) -> Router | None:
        try:
            published = await self._writer.carry_out(RouterId(router.id), decide)
        except (Forbidden, HelperNotAllowed, OverQuota) as error:
            if error.rule:
                await self._permission.deny(asker, action, error.rule, router=router, helper=helper)
            raise
        return published.router if published else None

    def _with_helper(self, router: str, helper: str) -> Router:
        kept = self._book.find(router)
        if kept is None:
            raise HelperUnknown(helper)
        helper_of(kept.router, helper)
        return kept.router
