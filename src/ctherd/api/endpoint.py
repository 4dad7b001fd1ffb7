"""Bare ASGI endpoints beside the tenants' API: who asks is known, and errors have the same shape.

No request or response object of a framework: a stream that a thousand hosts keep open must cost
little more than its connection.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ctherd.api import request_id
from ctherd.api.answer import Answer, deliver, refusal
from ctherd.api.limits import Limits
from ctherd.api.neutron_errors import Refused, bad_request, fault_of
from ctherd.api.request import body_of, credentials_of, headers_of, query_of
from ctherd.api.tenant import CALLER
from ctherd.authz.caller import Caller, Identity
from ctherd.errors import CtherdError
from ctherd.service.asker import Asker

Stream = Callable[[Receive, Send], Awaitable[None]]
"""Sends an answer that takes its time."""


class Visit(NamedTuple):
    """One request of somebody who was authenticated; what is in its body is not read yet."""

    asker: Asker
    scope: Scope
    receive: Receive
    headers: dict[str, str]
    limits: Limits

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return self.asker.caller

    @property
    def path(self) -> dict[str, str]:
        """Return the names in the path."""
        found: dict[str, str] = self.scope["path_params"]
        return found

    def query(self, name: str) -> str | None:
        """Return the last value of *name* in the query.

        Raises: Refused.
        """
        values = [value for each, value in query_of(self.scope) if each == name]
        return values[-1] if values else None

    async def body(self) -> bytes:
        """Return the body.

        Raises: Refused.
        """
        return await body_of(self.scope, self.receive, self.headers, self.limits)


Serve = Callable[[Visit], Awaitable[Answer | Stream]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Serves one method of one path."""

    identity: Identity
    limits: Limits
    serve: Serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            given = await self.serve(await self._visit(scope, receive))
        except Refused as error:
            given = refusal(error.fault)
        except CtherdError as error:
            fault = fault_of(error)
            if fault is None:
                raise
            given = refusal(fault)
        if isinstance(given, Answer):
            await deliver(send, given)
        else:
            await given(receive, send)

    async def _visit(self, scope: Scope, receive: Receive) -> Visit:
        headers = headers_of(scope)
        caller = await self.identity.authenticate(credentials_of(scope, headers))
        scope[CALLER] = caller
        client = scope.get("client")
        asker = Asker(caller, client[0] if client else "", scope.get(request_id.OURS, ""))
        return Visit(asker, scope, receive, headers, self.limits)

    def at(self, path: str, *methods: str) -> Route:
        """Return the route of *path* that leads here."""
        return Route(path, self, methods=list(methods))


def whole(text: str | None, name: str) -> int | None:
    """Return a whole number of the query, None if it was not given.

    Raises: Refused.
    """
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise bad_request(f"Invalid input for {name}. Reason: it is not a whole number.")
    return int(text)
