"""The endpoints of a router's conntrack helpers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctherd.api import listing, owner
from ctherd.api.answer import Answer, answer
from ctherd.api.attributes import Values
from ctherd.api.extensions import asks_for_ours
from ctherd.api.helper_attributes import HELPERS
from ctherd.api.request import Request
from ctherd.authz.policy import Policy
from ctherd.model.assignment import AssignmentId
from ctherd.model.router import DeclaredHelper, Router
from ctherd.service.conntrack_helpers import ConntrackHelpers
from ctherd.service.helper_rules import Wanted
from ctherd.service.helper_status import Board, FamilyStatus, HelperStatus
from ctherd.service.routers import Routers

Shown = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HelperEndpoints:
    """Translates between requests and the use cases."""

    helpers: ConntrackHelpers
    routers: Routers
    board: Board
    policy: Policy

    async def list(self, request: Request, router: str) -> Answer:
        """Answer ``GET …/conntrack_helpers``."""
        wanted = listing.read(request.query, HELPERS)
        ours = asks_for_ours(request.query) or wanted.mentions(HELPERS.ours)
        found = self.helpers.of_router(request.asker, router)
        items = self._shown_all(request, found, ours=ours) if found else []
        page = wanted.pick(items)
        said: Shown = {HELPERS.collection: [wanted.select(each) for each in page]}
        if links := listing.links(request.url, request.query, wanted.page, page):
            said[f"{HELPERS.collection}_links"] = links
        return answer(said)

    async def show(self, request: Request, router: str, helper: str) -> Answer:
        """Answer ``GET …/conntrack_helpers/{id}``."""
        wanted = listing.Listing(fields=listing.fields(request.query))
        ours = asks_for_ours(request.query) or wanted.mentions(HELPERS.ours)
        found = self.helpers.show(request.asker, router, helper)
        shown = self._shown(request, found, helper, ours=ours)
        return answer({HELPERS.name: wanted.select(shown)})

    async def create(self, request: Request, router: str) -> Answer:
        """Answer ``POST …/conntrack_helpers``, of one or in bulk."""
        wait_s, asked = request.wait_s(), asks_for_ours(request.query)
        given, bulk = HELPERS.read_create(request.json())
        wanted = [self._wanted(request, each) for each in given]
        ours = asked or wait_s is not None or any(map(_is_unusual, wanted))
        after, ids = await self.helpers.create(request.asker, router, wanted)
        await self._settled(after, wait_s)
        shown = [self._shown(request, after, each, ours=ours) for each in ids]
        if bulk:
            return answer({HELPERS.collection: shown}, 201)
        return answer({HELPERS.name: shown[0]}, 201)

    async def update(self, request: Request, router: str, helper: str) -> Answer:
        """Answer ``PUT …/conntrack_helpers/{id}``."""
        wait_s, asked = request.wait_s(), asks_for_ours(request.query)
        changes = HELPERS.read_update(request.json())
        ours = asked or wait_s is not None or not HELPERS.ours.isdisjoint(changes)
        after = await self.helpers.update(request.asker, router, helper, changes)
        await self._settled(after, wait_s)
        return answer({HELPERS.name: self._shown(request, after, helper, ours=ours)})

    async def delete(self, request: Request, router: str, helper: str) -> Answer:
        """Answer ``DELETE …/conntrack_helpers/{id}``; 202 if it was waited for in vain."""
        wait_s = request.wait_s()
        after = await self.helpers.delete(request.asker, router, helper)
        return Answer(204 if await self._settled(after, wait_s) else 202)

    async def _settled(self, router: Router, wait_s: float | None) -> bool:
        return wait_s is None or await self.board.settled(router.id, router.serial, wait_s)

    def _wanted(self, request: Request, values: Values) -> Wanted:
        may_choose = self.policy.allows("context_is_admin", request.asker.caller, {})
        owner.claimed(values, request.asker.caller, may_choose=may_choose)
        return Wanted(**values)

    def _shown(self, request: Request, router: Router, helper: str, *, ours: bool) -> Shown:
        declared = router.helpers[AssignmentId(helper)]
        if not ours:
            return _plain(declared)
        hosts = self.routers.sees_placements(request.asker, router)
        return _in_full(declared, self.board.of(router), hosts=hosts)

    def _shown_all(self, request: Request, router: Router, *, ours: bool) -> Sequence[Shown]:
        if not ours:
            return [_plain(each) for each in router.helpers.values()]
        hosts = self.routers.sees_placements(request.asker, router)
        statuses = self.board.of(router)
        return [_in_full(each, statuses, hosts=hosts) for each in router.helpers.values()]


def _is_unusual(wanted: Wanted) -> bool:
    """Tell whether *wanted* is more than a client of the reference could ask for."""
    return wanted != Wanted(wanted.helper, wanted.protocol, wanted.port)


def _plain(declared: DeclaredHelper) -> Shown:
    assignment = declared.assignment
    return {
        "id": assignment.id,
        "protocol": assignment.protocol.value,
        "port": assignment.port,
        "helper": assignment.helper,
    }


def _in_full(
    declared: DeclaredHelper, statuses: Mapping[AssignmentId, HelperStatus], *, hosts: bool
) -> Shown:
    status = statuses[declared.assignment.id]
    return {
        **_plain(declared),
        "destinations": [str(each) for each in declared.assignment.destinations],
        "description": declared.description,
        "on_revoke": declared.assignment.on_revoke.value,
        "adopt_flows": declared.assignment.adopt_flows,
        "status": status.state.value,
        "status_reason": status.reason,
        "status_details": [_detail(each, hosts=hosts) for each in status.details],
    }


def _detail(status: FamilyStatus, *, hosts: bool) -> Shown:
    told: Shown = {"host": status.host} if hosts else {}
    return told | {
        "family": status.family.value,
        "status": status.state.value,
        "reason": status.reason,
        "since": status.since or None,
        "verified_at": status.verified_at or None,
        "verified_by": status.verified_by or None,
    }
