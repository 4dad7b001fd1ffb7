"""Everything under /v2.0: who asks is known, what is asked is bounded, and errors have one shape.

A bare ASGI application with a route table of its own, because of what clients rely on: the suffix
``.json``, 404 and 405 in the shape of every other error, and no cost beyond what must be.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from starlette.types import Receive, Scope, Send

from ctherd.api import request_id
from ctherd.api.answer import Answer, answer, deliver, refusal
from ctherd.api.limits import Limits, Places
from ctherd.api.neutron_errors import (
    NOT_FOUND,
    OVERLOADED,
    Refused,
    bad_request,
    fault_of,
    method_not_allowed,
)
from ctherd.api.request import (
    Request,
    body_of,
    credentials_of,
    headers_of,
    query_of,
    url_of,
)
from ctherd.authz.caller import Caller, Identity
from ctherd.errors import CtherdError
from ctherd.service.asker import Asker

_log = logging.getLogger(__name__)

PREFIX: Final = "/v2.0"
SUFFIX: Final = ".json"

ROUTE: Final = "ctherd.route"
CALLER: Final = "ctherd.caller"
"""Where the scope tells which route answered whom, for metrics and the log."""

Endpoint = Callable[..., Awaitable[Answer]]


class TenantRoute(NamedTuple):
    """What answers a path.

    Shape: *pattern* has None where an id stands; a method that a *strict* route does not have is
    405, and 404 otherwise.
    """

    name: str
    pattern: tuple[str | None, ...]
    endpoints: dict[str, Endpoint]
    strict: bool = True


class TenantApi:
    """Answers requests under PREFIX by *routes*."""

    def __init__(self, routes: Sequence[TenantRoute], identity: Identity, limits: Limits) -> None:
        self._routes = routes
        self._identity = identity
        self._limits = limits
        self.places = Places(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        try:
            given = await self._answer(scope, receive)
        except Refused as error:
            given = refusal(error.fault)
        except CtherdError as error:
            fault = fault_of(error)
            if fault is None:
                raise
            _tell(error, fault.status)
            given = refusal(fault)
        await deliver(send, given)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        with self.places.one():
            headers = headers_of(scope)
            caller = await self._identity.authenticate(credentials_of(scope, headers))
            with self.places.one_of((caller.via, caller.project or caller.user)):
                return await self._answer_to(caller, scope, receive, headers)

    async def _answer_to(
        self, caller: Caller, scope: Scope, receive: Receive, headers: dict[str, str]
    ) -> Answer:
        scope[CALLER] = caller
        endpoint, ids = self._find(scope)
        client = scope.get("client")
        asker = Asker(caller, client[0] if client else "", scope[request_id.OURS])
        request = Request(
            scope["method"],
            url_of(scope, headers),
            query_of(scope),
            headers,
            await body_of(scope, receive, headers, self._limits),
            asker,
            self._limits,
        )
        _refuse_unheeded(request)
        patience_s = self._limits.request_s + self._limits.wait_s
        try:
            async with asyncio.timeout(patience_s):
                return await endpoint(request, *ids)
        except TimeoutError as error:
            raise Refused(OVERLOADED) from error

    def _find(self, scope: Scope) -> tuple[Endpoint, list[str]]:
        parts = _parts(scope["path"])
        for route in self._routes:
            ids = _match(route.pattern, parts)
            if ids is None:
                continue
            scope[ROUTE] = route.name
            endpoint = route.endpoints.get(scope["method"])
            if endpoint is not None:
                return endpoint, ids
            if not route.strict:
                break
            raise method_not_allowed(", ".join(route.endpoints))
        raise Refused(NOT_FOUND)


def _parts(path: str) -> list[str]:
    trimmed = path.removeprefix(PREFIX).removesuffix("/").removesuffix(SUFFIX)
    return trimmed.split("/")[1:]


def _match(pattern: tuple[str | None, ...], parts: Sequence[str]) -> list[str] | None:
    if len(pattern) != len(parts):
        return None
    for expected, part in zip(pattern, parts, strict=True):
        if expected is not None and expected != part:
            return None
    return [part for expected, part in zip(pattern, parts, strict=True) if expected is None]


def _refuse_unheeded(request: Request) -> None:
    """Refuse what a client may count on, and would not be heeded."""
    if request.method == "DELETE" and request.body:
        raise bad_request("Request body is not supported in DELETE.")
    if "revision_number=" in request.headers.get("if-match", ""):
        raise bad_request(
            "Bad if-match request: This server does not support constraining operations based on "
            "revision numbers.",
            "BadRequest",
        )


def _tell(error: CtherdError, status: int) -> None:
    if status >= 500:
        _log.error("answered with %d: %s", status, error)


async def no_ports(request: Request) -> Answer:
    """Answer ``GET /v2.0/ports``, which `openstack router show` asks: routers here have none."""
    return answer({"ports": []})
