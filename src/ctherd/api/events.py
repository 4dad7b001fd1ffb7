"""The event stream of users: `GET /v1/events`, as lines of JSON or as server-sent events."""

import json
from functools import partial
from typing import Final

from starlette.routing import Route

from ctherd.api.endpoint import Endpoint, Stream, Visit
from ctherd.api.gate import Gate
from ctherd.api.limits import Limits
from ctherd.api.neutron_errors import OVERLOADED, Refused
from ctherd.api.stream import NDJSON, SSE, stream
from ctherd.authz.caller import Identity
from ctherd.authz.policy import owned_by
from ctherd.model.router import ProjectId
from ctherd.service.happenings import Happenings
from ctherd.signing.canonical import Plain

_RULE: Final = "ctherd:get_events"
_PLACES_RULE: Final = "ctherd:get_placements"
_NOBODY: Final = ProjectId("")
_MOST_LISTENERS: Final = 500


class EventEndpoint:
    """Serves whoever wants to watch."""

    def __init__(self, gate: Gate, happenings: Happenings) -> None:
        self._gate = gate
        self._happenings = happenings

    def routes(self, identity: Identity, limits: Limits) -> list[Route]:
        """Return the route to here."""
        return [Endpoint(identity, limits, self.follow).at("/v1/events", "GET")]

    async def follow(self, visit: Visit) -> Stream:
        """Stream what happens in the caller's project; an administrator sees everything."""
        project = await self._sight(visit)
        if self._happenings.listening >= _MOST_LISTENERS:
            raise Refused(OVERLOADED)
        as_sse = "text/event-stream" in visit.headers.get("accept", "")
        frame = _sse if as_sse else _ndjson
        places = self._gate.allows(_PLACES_RULE, visit, owned_by(project or _NOBODY))
        listener = self._happenings.listen(project, frame, sees_places=places)
        return partial(
            stream,
            listener.mailbox,
            (frame({"type": "in-sync"}),),
            partial(self._happenings.leave, listener),
            content_type=SSE if as_sse else NDJSON,
        )

    async def _sight(self, visit: Visit) -> ProjectId | None:
        """Return whose events the caller may see, None for everybody's.

        Raises: Forbidden, Refused.
        """
        asked = visit.query("project")
        if asked is None and self._gate.allows(_RULE, visit, owned_by(_NOBODY)):
            return None
        project = ProjectId(asked) if asked else visit.caller.project
        if project and self._gate.allows(_RULE, visit, owned_by(project)):
            return project
        await self._gate.refuse(_RULE, visit, {"project": asked} if asked else {})


def _ndjson(event: Plain) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def _sse(event: Plain) -> bytes:
    return f"event: {event['type']}\ndata: ".encode() + _ndjson(event) + b"\n"
