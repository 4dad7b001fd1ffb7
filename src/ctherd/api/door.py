"""What happens to every request, whatever it asks for: an id, a line in the log, and no traceback.

An exception that nobody expected is logged with its traceback and the request's id, and answered
with a plain error in the shape of all others.
"""

import logging
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctherd.api import request_id
from ctherd.api.answer import deliver, refusal
from ctherd.api.metrics import ApiMetrics
from ctherd.api.neutron_errors import INTERNAL
from ctherd.api.tenant import CALLER, ROUTE
from ctherd.authz.caller import Caller

_log = logging.getLogger(__name__)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Door:
    """Lets requests in to *app*, and answers out."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, send)
        token = request_id.current.set(visit.id_to_log)
        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, visit.send)
        except Exception:  # noqa: BLE001 - the top of every request, which logs the traceback
            _log.exception("%s %s failed", scope["method"], visit.path)
            if not visit.status:
                await deliver(visit.send, refusal(INTERNAL))
        finally:
            self._metrics.in_flight.dec()
            self._tell(scope, visit)
            request_id.current.reset(token)

    def _tell(self, scope: Scope, visit: "_Visit") -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        seconds = visit.answered_s - visit.began_s
        self._metrics.answered(_route(scope), method, visit.status, seconds)
        if _log.isEnabledFor(logging.INFO):
            caller = scope.get(CALLER)
            _log.info(
                "%s %s: %d in %.1f ms for %s",
                method,
                visit.path,
                visit.status,
                seconds * 1000,
                _named(caller) if caller else "nobody known",
            )


def _named(caller: Caller) -> str:
    return f"{caller.user} of {caller.project}" if caller.project else caller.user


def _route(scope: Scope) -> str:
    """Return which route answered, without any id: a label has few values."""
    found: str | None = scope.get(ROUTE) or getattr(scope.get("route"), "path", None)
    return found or "other"


class _Visit:
    """One request: its id, and the status of its answer (0: none yet)."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._id = request_id.draw()
        self.began_s = self.answered_s = time.perf_counter()
        self.status = 0
        # As it came over the wire: what it spells may hold line feeds.
        self.path = (scope.get("raw_path") or b"").decode("latin-1")
        scope[request_id.OURS] = self._id
        sent = next((value for name, value in scope["headers"] if name == request_id.HEADER), None)
        theirs = request_id.global_id(sent)
        self.id_to_log = f"{self._id} {theirs}" if theirs else self._id

    async def send(self, message: Message) -> None:
        """Pass *message* on; the head of an answer gets the id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.answered_s = time.perf_counter()
            head = (request_id.HEADER, self._id.encode("ascii"))
            message["headers"] = [*message.get("headers", ()), head]
        await self._send(message)
