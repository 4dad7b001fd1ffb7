"""The server's HTTP face, put together: the tenants' API, versions, docs, health and metrics."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ctherd.api import docs, health
from ctherd.api.answer import Answer, refusal
from ctherd.api.conntrack_helpers import HelperEndpoints
from ctherd.api.door import Door
from ctherd.api.extensions import list_extensions, show_extension
from ctherd.api.limits import Limits
from ctherd.api.metrics import ApiMetrics
from ctherd.api.neutron_errors import INTERNAL, NOT_FOUND, Fault, fault_of, method_not_allowed
from ctherd.api.request import credentials_of, headers_of, url_of
from ctherd.api.routers import RouterEndpoints
from ctherd.api.tenant import PREFIX, TenantApi, TenantRoute, no_ports
from ctherd.api.versions import resources, versions
from ctherd.authz.caller import Identity
from ctherd.authz.policy import Policy
from ctherd.errors import CtherdError
from ctherd.service.conntrack_helpers import ConntrackHelpers
from ctherd.service.helper_status import Board
from ctherd.service.refusals import Forbidden
from ctherd.service.routers import Routers

_ADMIN = "context_is_admin"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the face is a face of.

    Shape: *troubles* as in health; *more* are routes beside the tenants' API.
    """

    identity: Identity
    policy: Policy
    helpers: ConntrackHelpers
    routers: Routers
    board: Board
    registry: CollectorRegistry
    troubles: health.Troubles
    limits: Limits = field(default_factory=Limits)
    more: Sequence[BaseRoute] = ()


def build(parts: Parts) -> ASGIApp:
    """Return the ASGI application."""
    tenants = TenantApi(_tenant_routes(parts), parts.identity, parts.limits)
    others = Starlette(
        routes=[
            Route("/", _versions),
            Route("/metrics", _Metrics(parts).show),
            *health.routes(parts.troubles),
            *docs.routes(),
            *parts.more,
        ],
        exception_handlers={HTTPException: _http, CtherdError: _ours, Exception: _unexpected},
    )

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        of_tenants = scope["type"] == "http" and _is_under(scope["path"], PREFIX)
        await (tenants if of_tenants else others)(scope, receive, send)

    return Door(either, ApiMetrics(parts.registry))


def _is_under(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")


def _tenant_routes(parts: Parts) -> list[TenantRoute]:
    routers = RouterEndpoints(parts.routers, parts.board, parts.policy)
    helpers = HelperEndpoints(parts.helpers, parts.routers, parts.board, parts.policy)
    of_router = ("routers", None, "conntrack_helpers")
    return [
        TenantRoute("/v2.0", (), {"GET": resources}),
        TenantRoute("/v2.0/extensions", ("extensions",), {"GET": list_extensions}, False),
        TenantRoute(
            "/v2.0/extensions/{alias}", ("extensions", None), {"GET": show_extension}, False
        ),
        TenantRoute("/v2.0/ports", ("ports",), {"GET": no_ports}, False),
        TenantRoute("/v2.0/routers", ("routers",), {"GET": routers.list, "POST": routers.create}),
        TenantRoute(
            "/v2.0/routers/{id}",
            ("routers", None),
            {"GET": routers.show, "PUT": routers.update, "DELETE": routers.delete},
        ),
        TenantRoute(
            "/v2.0/routers/{id}/conntrack_helpers",
            of_router,
            {"GET": helpers.list, "POST": helpers.create},
        ),
        TenantRoute(
            "/v2.0/routers/{id}/conntrack_helpers/{id}",
            (*of_router, None),
            {"GET": helpers.show, "PUT": helpers.update, "DELETE": helpers.delete},
        ),
    ]


async def _versions(request: Request) -> Response:
    return _response(versions(url_of(request.scope, headers_of(request.scope))))


class _Metrics:
    """Shows the registry to whoever may see it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def show(self, request: Request) -> Response:
        credentials = credentials_of(request.scope, headers_of(request.scope))
        caller = await self._parts.identity.authenticate(credentials)
        if not self._parts.policy.allows(_ADMIN, caller, {}):
            raise Forbidden(_ADMIN)
        shown = generate_latest(self._parts.registry)
        return Response(shown, media_type=CONTENT_TYPE_LATEST)


# -- errors outside of the tenants' API, in the same shape -----------------------------------------


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _response(refusal(NOT_FOUND))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return _response(refusal(method_not_allowed(allowed).fault))
    fault = Fault(error.status_code, "HTTPException", error.detail, error.headers or {})
    return _response(refusal(fault))


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, CtherdError)
    fault = fault_of(error)
    if fault is None:
        raise error
    return _response(refusal(fault))


async def _unexpected(_: Request, __: Exception) -> Response:
    return _response(refusal(INTERNAL))


def _response(given: Answer) -> Response:
    headers = {name.decode(): value.decode() for name, value in given.headers}
    return Response(given.body, given.status, headers, "application/json")
