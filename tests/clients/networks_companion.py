"""For tests alone: networks and subnets, which Tempest makes around its tests and ctherd has not.

It stands between a server's socket and its application, answers for these two as much as Tempest
asks, and hands everything else on untouched.
"""

from typing import Any, Final
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

_COMMON: Final = {"tags": [], "shared": False}


class NetworksCompanion:
    """Keeps networks and subnets for as long as it lives."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[str, dict[str, dict[str, Any]]] = {"networks": {}, "subnets": {}}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = scope["path"].removesuffix(".json").split("/")
        if scope["type"] != "http" or len(parts) < 3 or parts[2] not in self._kept:
            await self._app(scope, receive, send)
            return
        answer = await self._answer(Request(scope, receive), parts[2], parts[3:])
        await answer(scope, receive, send)

    async def _answer(self, request: Request, collection: str, rest: list[str]) -> Response:
        name, kept = collection.removesuffix("s"), self._kept[collection]
        match request.method, rest:
            case "POST", []:
                made = {**_COMMON, **(await request.json())[name], "id": str(uuid4())}
                kept[made["id"]] = made
                return JSONResponse({name: made}, 201)
            case "GET", []:
                return JSONResponse({collection: list(kept.values())})
            case "GET", [which] if which in kept:
                return JSONResponse({name: kept[which]})
            case "DELETE", [which] if which in kept:
                del kept[which]
                return Response(status_code=204)
        return JSONResponse({"NeutronError": {"type": "X", "message": "", "detail": ""}}, 404)
