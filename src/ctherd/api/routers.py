"""The endpoints of routers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ctherd.api import listing, owner
from ctherd.api.answer import Answer, answer
from ctherd.api.attributes import Values
from ctherd.api.extensions import asks_for_ours
from ctherd.api.neutron_errors import bad_request
from ctherd.api.request import Request
from ctherd.api.router_attributes import ROUTERS
from ctherd.authz.policy import Policy
from ctherd.model.router import Router
from ctherd.service.helper_status import Board
from ctherd.service.routers import Routers, WantedRouter

Shown = dict[str, Any]

_FIELD_OF: Final = {"external_gateway_info": "gateway"}
"""Attributes that a router's record calls otherwise."""


@dataclass(frozen=True, slots=True)
class RouterEndpoints:
    """Translates between requests and the use cases."""

    routers: Routers
    board: Board
    policy: Policy

    async def list(self, request: Request) -> Answer:
        """Answer ``GET /v2.0/routers``."""
        wanted = listing.read(request.query, ROUTERS)
        ours = asks_for_ours(request.query) or wanted.mentions(ROUTERS.ours)
        found = self.routers.visible(request.asker)
        items = [self._shown(request, each, ours=ours) for each in found]
        page = wanted.pick(items)
        said: Shown = {ROUTERS.collection: [wanted.select(each) for each in page]}
        if links := listing.links(request.url, request.query, wanted.page, page):
            said[f"{ROUTERS.collection}_links"] = links
        return answer(said)

    async def show(self, request: Request, router: str) -> Answer:
        """Answer ``GET /v2.0/routers/{id}``."""
        wanted = listing.Listing(fields=listing.fields(request.query))
        ours = asks_for_ours(request.query) or wanted.mentions(ROUTERS.ours)
        found = self.routers.show(request.asker, router)
        return answer({ROUTERS.name: wanted.select(self._shown(request, found, ours=ours))})

    async def create(self, request: Request) -> Answer:
        """Answer ``POST /v2.0/routers``, of one or in bulk."""
        wait_s, asked = request.wait_s(), asks_for_ours(request.query)
        given, bulk = ROUTERS.read_create(request.json())
        wanted = [self._wanted(request, each) for each in given]
        ours = asked or wait_s is not None or any(each.places for each in wanted)
        made = await self.routers.create(request.asker, wanted)
        for each in made:
            await self._settled(each, wait_s)
        shown = [self._shown(request, each, ours=ours) for each in made]
        if bulk:
            return answer({ROUTERS.collection: shown}, 201)
        return answer({ROUTERS.name: shown[0]}, 201)

    async def update(self, request: Request, router: str) -> Answer:
        """Answer ``PUT /v2.0/routers/{id}``."""
        wait_s, asked = request.wait_s(), asks_for_ours(request.query)
        changes = ROUTERS.read_update(request.json())
        ours = asked or wait_s is not None or not ROUTERS.ours.isdisjoint(changes)
        places = changes.pop("placements", None)
        after = await self.routers.update(request.asker, router, _fields(changes), places)
        await self._settled(after, wait_s)
        return answer({ROUTERS.name: self._shown(request, after, ours=ours)})

    async def delete(self, request: Request, router: str) -> Answer:
        """Answer ``DELETE /v2.0/routers/{id}``; 202 if it was waited for in vain."""
        wait_s = request.wait_s()
        last = await self.routers.delete(request.asker, router)
        return Answer(204 if await self._settled(last, wait_s) else 202)

    async def _settled(self, router: Router, wait_s: float | None) -> bool:
        return wait_s is None or await self.board.settled(router.id, router.serial, wait_s)

    def _wanted(self, request: Request, values: Values) -> WantedRouter:
        may_choose = self.policy.allows("context_is_admin", request.asker.caller, {})
        project = owner.claimed(values, request.asker.caller, may_choose=may_choose)
        if project is None:
            raise bad_request(
                "Running without keystone AuthN requires that project_id is specified"
            )
        places = values.pop("placements")
        return WantedRouter(project, places, _fields(values))

    def _shown(self, request: Request, router: Router, *, ours: bool) -> Shown:
        shown = _plain(router)
        if ours and self.routers.sees_placements(request.asker, router):
            shown["placements"] = [each._asdict() for each in router.placements]
        return shown


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_FIELD_OF.get(name, name): value for name, value in values.items()}


def _plain(router: Router) -> Shown:
    return {
        "id": router.id,
        "name": router.name,
        "description": router.description,
        "admin_state_up": router.admin_state_up,
        "status": "ACTIVE",
        "tenant_id": router.project,
        "project_id": router.project,
        "external_gateway_info": router.gateway,
        "routes": list(router.routes),
        "conntrack_helpers": [
            {
                "protocol": each.assignment.protocol.value,
                "port": each.assignment.port,
                "helper": each.assignment.helper,
            }
            for each in router.helpers.values()
        ],
        "revision_number": router.revision_number,
        "created_at": router.created_at,
        "updated_at": router.updated_at,
    }
