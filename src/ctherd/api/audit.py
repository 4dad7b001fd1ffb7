"""The audit for administrators: `GET /v1/audit`, newest first, filtered, page by page."""

from dataclasses import fields
from typing import Final

from starlette.routing import Route

from ctherd.api.answer import Answer, answer
from ctherd.api.endpoint import Endpoint, Visit, whole
from ctherd.api.gate import Gate
from ctherd.api.limits import Limits
from ctherd.api.neutron_errors import bad_request
from ctherd.api.request import query_of
from ctherd.authz.audit.query import PAGE, Filters, query
from ctherd.authz.caller import Identity
from ctherd.store.port import Store

_RULE: Final = "ctherd:get_audit"
_LARGEST_PAGE: Final = 1000
_FILTERS: Final = frozenset(each.name for each in fields(Filters))
_PAGING: Final = frozenset({"marker", "limit"})


def audit_routes(store: Store, gate: Gate, identity: Identity, limits: Limits) -> list[Route]:
    """Return the route that reads the audit in *store*."""

    async def read(visit: Visit) -> Answer:
        await gate.admit(_RULE, visit)
        asked = dict(query_of(visit.scope))
        if unknown := sorted(asked.keys() - _FILTERS - _PAGING):
            raise bad_request(f"{unknown} is invalid attribute for filtering")
        size = whole(asked.get("limit"), "limit") or PAGE
        filters = Filters(**{name: asked[name] for name in _FILTERS & asked.keys()})
        page = await query(
            store, filters, marker=asked.get("marker", ""), limit=min(size, _LARGEST_PAGE)
        )
        return answer({"entries": page.entries, "marker": page.marker})

    return [Endpoint(identity, limits, read).at("/v1/audit", "GET")]
