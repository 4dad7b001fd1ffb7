"""What becomes of a router when a helper is added, changed or removed: decisions, no deeds.

Each is made on the very record that its commit replaces, and made again when that has changed
meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

from ctherd.authz.profile import Profile
from ctherd.model.assignment import AssignmentId
from ctherd.model.router import DeclaredHelper, Router
from ctherd.service.asker import Asker
from ctherd.service.helper_rules import Wanted, judge, refuse_collision
from ctherd.service.permission import Permission
from ctherd.service.publish import Publisher
from ctherd.service.records import helper_as_plain
from ctherd.service.refusals import Forbidden, HelperUnknown, OverQuota
from ctherd.service.router_book import Kept, RouterBook
from ctherd.service.router_writer import Edit
from ctherd.service.slots import Slots
from ctherd.store.port import Expect, Put

CREATE: Final = "create_router_conntrack_helper"
UPDATE: Final = "update_router_conntrack_helper"
DELETE: Final = "delete_router_conntrack_helper"
ADOPT: Final = "ctherd:adopt_flows"


@dataclass(frozen=True, slots=True)
class HelperEdits:
    """Decides by the profile and publishes by the key that hold at the moment."""

    book: RouterBook
    slots: Slots
    profile: Callable[[], Profile]
    publisher: Callable[[], Publisher]
    permission: Permission

    def add(self, asker: Asker, kept: Kept, wanted: Sequence[Wanted], now: str) -> Edit:
        """Give the router all of *wanted*, in that order.

        Raises: Forbidden; as judge and refuse_collision; OverQuota.
        """
        router = kept.router
        for one in wanted:
            self._refuse_adoption(asker, router, one)
        helpers = dict(router.helpers)
        new = [self._declare(asker, router, each, now) for each in wanted]
        for each in new:
            others = (other.assignment for other in helpers.values())
            refuse_collision(router.id, each.assignment, others)
            helpers[each.assignment.id] = each
        expects, writes = self._within_quota(router, [each.assignment.id for each in new])
        entry = asker.allowed(
            CREATE,
            router,
            helper=new[0].assignment.id if len(new) == 1 else "",
            after={"helpers": [helper_as_plain(each) for each in new]},
        )
        after = _touched(router, helpers, now)
        published = self.publisher().change(router, kept.revision, after, now)
        return Edit(published, entry, tuple(expects), tuple(writes))

    def exchange(
        self, asker: Asker, kept: Kept, helper: AssignmentId, changes: Mapping[str, Any], now: str
    ) -> Edit | None:
        """Change what *changes* names (fields of Wanted) of *helper*; None if it is so already.

        Raises: HelperUnknown, Forbidden; as judge and refuse_collision.
        """
        router = kept.router
        before = helper_of(router, helper)
        wanted = replace(_as_wanted(before), **changes)
        if wanted == _as_wanted(before):
            return None
        self._refuse_adoption(asker, router, wanted, _as_wanted(before))
        assignment = judge(wanted, helper, asker.caller, router.project, self.profile())
        refuse_collision(
            router.id, assignment, (other.assignment for other in router.helpers.values())
        )
        exchanged = DeclaredHelper(assignment, wanted.description, now)
        entry = asker.allowed(
            UPDATE,
            router,
            helper=helper,
            before=helper_as_plain(before),
            after=helper_as_plain(exchanged),
        )
        after = _touched(router, {**router.helpers, helper: exchanged}, now)
        return Edit(self.publisher().change(router, kept.revision, after, now), entry)

    def remove(self, asker: Asker, kept: Kept, helper: AssignmentId, now: str) -> Edit:
        """Take *helper* away.

        Raises: HelperUnknown.
        """
        router = kept.router
        gone = helper_of(router, helper)
        rest = {each: declared for each, declared in router.helpers.items() if each != helper}
        entry = asker.allowed(DELETE, router, helper=helper, before=helper_as_plain(gone))
        published = self.publisher().change(router, kept.revision, _touched(router, rest, now), now)
        return Edit(published, entry, writes=tuple(self.slots.give_back([helper])))

    def _declare(self, asker: Asker, router: Router, wanted: Wanted, now: str) -> DeclaredHelper:
        drawn = AssignmentId(str(uuid4()))
        assignment = judge(wanted, drawn, asker.caller, router.project, self.profile())
        return DeclaredHelper(assignment, wanted.description, now)

    def _refuse_adoption(
        self, asker: Asker, router: Router, wanted: Wanted, before: Wanted | None = None
    ) -> None:
        """Let nobody reach connections that are open who may not.

        Raises: Forbidden.
        """
        if not wanted.reaches_more(before):
            return
        if not self.permission.given(ADOPT, asker, router.project):
            raise Forbidden(ADOPT)

    def _within_quota(
        self, router: Router, new: Sequence[AssignmentId]
    ) -> tuple[list[Expect], list[Put]]:
        profile = self.profile()
        limit = profile.quota_per_router
        if limit is not None and len(router.helpers) + len(new) > limit:
            raise OverQuota(limit, "router")
        quota = profile.quota_of(router.project)
        if quota is None:
            return [], []
        count = self.book.helper_count(router.project)
        return self.slots.take(router.project, router.id, new, quota, count)


def helper_of(router: Router, helper: str) -> DeclaredHelper:
    """Return *helper* of *router*.

    Raises: HelperUnknown.
    """
    found = router.helpers.get(AssignmentId(helper))
    if found is None:
        raise HelperUnknown(helper)
    return found


def _as_wanted(declared: DeclaredHelper) -> Wanted:
    assignment = declared.assignment
    return Wanted(
        assignment.helper,
        assignment.protocol.value,
        assignment.port,
        assignment.destinations,
        declared.description,
        assignment.on_revoke,
        assignment.adopt_flows,
    )


def _touched(router: Router, helpers: Mapping[AssignmentId, DeclaredHelper], now: str) -> Router:
    return replace(
        router, helpers=helpers, revision_number=router.revision_number + 1, updated_at=now
    )
