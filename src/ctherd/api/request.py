"""A request as the endpoints see it: read, bounded, and asked by somebody who was authenticated."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from starlette.types import Receive, Scope

from ctherd.api.limits import Limits
from ctherd.api.neutron_errors import (
    TOO_LARGE,
    TOO_SLOW,
    Refused,
    bad_request,
    echo,
)
from ctherd.authz.caller import Credentials
from ctherd.service.asker import Asker

Query = Sequence[tuple[str, str]]

CERTIFICATE_HOST: Final = "ctherd.certificate_host"
"""Where a scope has the name in the client certificate that was verified, "" without one."""

_MOST_PARAMETERS: Final = 1000
_WITH_BODY: Final = frozenset({"POST", "PUT", "DELETE", "PATCH"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Shape: *url* has neither query nor fragment; *query* is in the order of the URL.
    """

    method: str
    url: str
    query: Query
    headers: Mapping[str, str]
    body: bytes
    asker: Asker
    limits: Limits

    def json(self) -> Any:
        """Return what the body says, None if it is empty.

        Raises: Refused.
        """
        if not self.body:
            return None
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise bad_request(
                "Malformed request body: Cannot understand JSON.", "MalformedRequestBody"
            ) from error

    def wait_s(self) -> float | None:
        """Return how long the answer shall wait for the agents; None: not at all.

        Raises: Refused.
        """
        given = next((value for name, value in reversed(self.query) if name == "wait"), None)
        if given is None:
            return None
        if given.isascii() and given.isdigit() and int(given[:9]) <= self.limits.wait_s:
            return float(given[:9])
        raise bad_request(
            f"Invalid input for wait. Reason: '{echo(given)}' is not a whole number of seconds "
            f"from 0 to {self.limits.wait_s:.0f}."
        )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by lower-case name; of one that comes twice, the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def credentials_of(scope: Scope, headers: Mapping[str, str]) -> Credentials:
    """Return what the request brought to prove who asks."""
    client = scope.get("client")
    certificate_host = scope.get(CERTIFICATE_HOST, "")
    return Credentials(headers, client[0] if client else "", certificate_host)


def query_of(scope: Scope) -> Query:
    """Return the parameters of the query.

    Raises: Refused.
    """
    raw = scope["query_string"]
    if not raw:
        return ()
    try:
        return parse_qsl(
            raw.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS
        )
    except ValueError as error:
        raise bad_request("There are too many parameters in the query.") from error


def url_of(scope: Scope, headers: Mapping[str, str]) -> str:
    """Return the URL as the client sees it, without its query."""
    scheme = headers.get("x-forwarded-proto", scope["scheme"])
    scheme = scheme if scheme in ("http", "https") else scope["scheme"]
    server = scope.get("server") or ("localhost", None)
    host = headers.get("host") or (f"{server[0]}:{server[1]}" if server[1] else server[0])
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return f"{scheme}://{host}{path.decode('latin-1')}"


async def body_of(
    scope: Scope, receive: Receive, headers: Mapping[str, str], limits: Limits
) -> bytes:
    """Return the body of a request that may have one.

    Raises: Refused if it is too long, or too long in coming.
    """
    if scope["method"] not in _WITH_BODY:
        return b""
    length = headers.get("content-length", "0")
    if length == "0" and "transfer-encoding" not in headers:
        return b""
    if length.isdigit() and int(length[:18]) > limits.body_bytes:
        raise Refused(TOO_LARGE)
    try:
        async with asyncio.timeout(limits.body_s):
            return await _whole_body(receive, limits.body_bytes)
    except TimeoutError as error:
        raise Refused(TOO_SLOW) from error


async def _whole_body(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise bad_request("The request ended before its body did.")
        body += message.get("body", b"")
        if len(body) > most:
            raise Refused(TOO_LARGE)
        if not message.get("more_body", False):
            return bytes(body)
