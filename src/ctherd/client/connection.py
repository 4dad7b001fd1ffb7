"""HTTP to a server: one question, one answer, or a stream of lines. No meaning in here."""

import json
import ssl
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx

from ctherd.client.access import Access
from ctherd.client.refusals import away, not_understood, refusal
from ctherd.errors import ConfigurationError

_CONNECT_S: Final = 10.0
_ANSWER_S: Final = 60.0
_SILENCE_S: Final = 60.0
"""A stream says something every few seconds."""

Query = Mapping[str, str]


class Connection:
    """Asks a server.

    Raises: ConfigurationError on construction if TLS cannot be used; from every method what
    ``refusals`` makes of an answer, ServerAway, RemoteProtocolError.
    """

    def __init__(self, access: Access) -> None:
        self.url = access.url
        self._client = httpx.Client(
            base_url=access.url,
            verify=_tls(access),
            headers={"X-Auth-Token": access.token} if access.token else {},
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            trust_env=False,
        )

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        patience_s: float = 0.0,
    ) -> Any:
        """Return the server's answer as plain data, None if it has nothing to say.

        Shape: *patience_s* is how much longer than usual the answer may take.
        """
        timeout = httpx.Timeout(_ANSWER_S + patience_s, connect=_CONNECT_S)
        try:
            response = self._client.request(method, path, params=query, json=body, timeout=timeout)
        except httpx.HTTPError as error:
            raise away(self.url, error) from error
        if not response.is_success:
            raise refusal(response)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise not_understood(response) from error

    def lines(self, path: str, *, query: Query | None = None) -> Iterator[dict[str, Any]]:
        """Yield what the server streams, one object a line, until it ends the stream."""
        timeout = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S)
        try:
            with self._client.stream("GET", path, params=query, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                for line in response.iter_lines():
                    if line:
                        yield _object(line, response)
        except httpx.HTTPError as error:
            raise away(self.url, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()


def _object(line: str, response: httpx.Response) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError as error:
        raise not_understood(response) from error
    if not isinstance(told, dict):
        raise not_understood(response)
    return told


def _tls(access: Access) -> ssl.SSLContext:
    if not access.url.startswith("https:"):
        # Loading the system's authorities takes longer than all the rest of a command.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authorities = None if access.authorities is None else str(access.authorities)
    try:
        return ssl.create_default_context(cafile=authorities)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the authorities cannot be used: {error}", where=authorities or ""
        ) from error
