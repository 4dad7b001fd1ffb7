"""An answer as plain data, and its way to the client."""

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from starlette.types import Send

from ctherd.api.neutron_errors import Fault

Headers = tuple[tuple[bytes, bytes], ...]

_JSON: Final = (b"content-type", b"application/json")


class Answer(NamedTuple):
    """A status, a body that is JSON or empty, and the headers that come on top."""

    status: int
    body: bytes = b""
    headers: Headers = ()


def answer(value: Any, status: int = 200) -> Answer:
    """Return the answer that says *value*."""
    return Answer(status, json.dumps(value, separators=(",", ":")).encode("ascii"))


def refusal(fault: Fault) -> Answer:
    """Return the answer that says *fault*."""
    error = {"type": fault.type, "message": fault.message, "detail": ""}
    headers = ((name.encode(), value.encode()) for name, value in fault.headers.items())
    return answer({"NeutronError": error}, fault.status)._replace(headers=tuple(headers))


async def deliver(send: Send, given: Answer) -> None:
    """Send *given*."""
    head: Iterable[tuple[bytes, bytes]] = given.headers
    if given.body:
        head = (_JSON, *given.headers)
    length = (b"content-length", str(len(given.body)).encode())
    if given.status != 204:
        head = (*head, length)
    await send({"type": "http.response.start", "status": given.status, "headers": list(head)})
    await send({"type": "http.response.body", "body": given.body})
