"""The public keys that documents are signed with: `GET /v1/keys`."""

from starlette.routing import Route

from ctherd.api.answer import Answer, answer
from ctherd.api.endpoint import Endpoint, Visit
from ctherd.api.gate import Gate
from ctherd.api.limits import Limits
from ctherd.authz.caller import Identity
from ctherd.service.server_keys import ServerKeys

_RULE = "ctherd:get_keys"


def key_routes(keys: ServerKeys, gate: Gate, identity: Identity, limits: Limits) -> list[Route]:
    """Return the route that shows *keys*: the set, and the statement of it for who trusts one."""

    async def show(visit: Visit) -> Answer:
        await gate.admit(_RULE, visit)
        ring = keys.ring
        return answer({**ring.key_set.as_plain(), "envelope": ring.stated().as_plain()})

    return [Endpoint(identity, limits, show).at("/v1/keys", "GET")]
