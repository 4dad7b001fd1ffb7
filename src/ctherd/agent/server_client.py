"""HTTP to one server as one host: a stream that never ends, and reports. No meaning in here."""

import logging
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import httpx

from ctherd.errors import ConfigurationError, CtherdError, RemoteProtocolError
from ctherd.model.router import HostName

_log: Final = logging.getLogger("ctherd.agent")

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_LONGEST_LINE: Final = 8 * 1024 * 1024
_ANSWER_S: Final = 30.0
_CONNECT_S: Final = 10.0


class ServerAway(CtherdError):
    """The server cannot be reached, broke off, or does not want to be asked now; asked again."""

    code = "server-away"

    def __init__(self, what: str, *, where: str, retry_after_s: float = 0.0) -> None:
        super().__init__(what, where=where)
        self.retry_after_s = retry_after_s


class ServerRefused(CtherdError):
    """The server knows us not, or does not take what we say: somebody has to look."""

    code = "server-refused"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the server is, and how this host proves that it is *host*.

    Shape: *token_file* is read at every connection, so that a token can be changed under a running
    agent; *certificate* and *key* are for mutual TLS; *authorities* None means those of the system.
    """

    url: str
    host: HostName
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None


class ServerClient:
    """Speaks to the server.

    Raises: ConfigurationError on construction for an address or certificates that cannot be used;
    ServerAway and ServerRefused from every method; RemoteProtocolError for what is no answer.
    """

    def __init__(self, address: ServerAddress, *, silence_s: float) -> None:
        _refuse_nonsense(address)
        self._address = address
        self._path = f"{address.url.rstrip('/')}/v1/hosts/{address.host}"
        self._client = httpx.AsyncClient(
            verify=_tls(address),
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            # One for the stream, one for reports.
            limits=httpx.Limits(max_connections=2, keepalive_expiry=60.0),
            trust_env=False,
        )
        self._stream_timeout = httpx.Timeout(silence_s, connect=_CONNECT_S)

    @asynccontextmanager
    async def watch(self, parameters: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open the stream; yields what was received, as it comes, as whole lines.

        Shape: silence beyond *silence_s* is the end of it.
        """
        try:
            async with self._client.stream(
                "GET",
                f"{self._path}/watch",
                params=dict(parameters),
                headers=self._headers(),
                timeout=self._stream_timeout,
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise self._no(response)
                yield _lines(response)
        except httpx.HTTPError as error:
            raise self._away(error) from error

    async def report(self, report: Mapping[str, Any]) -> None:
        """Tell the server how this host fares."""
        try:
            response = await self._client.post(
                f"{self._path}/report", json=report, headers=self._headers()
            )
        except httpx.HTTPError as error:
            raise self._away(error) from error
        if response.status_code != 200:
            raise self._no(response)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.aclose()

    def _headers(self) -> dict[str, str]:
        path = self._address.token_file
        if path is None:
            return {}
        try:
            return {"Authorization": f"Bearer {path.read_text(encoding='ascii').strip()}"}
        except (OSError, ValueError) as error:
            raise ServerRefused(f"there is no token to show: {error}", where=str(path)) from error

    def _away(self, error: httpx.HTTPError) -> ServerAway:
        words = str(error) or type(error).__name__
        return ServerAway(f"the server cannot be asked: {words}", where=self._address.url)

    def _no(self, response: httpx.Response) -> CtherdError:
        words = f"the server answers {response.status_code}: {response.text[:500]}"
        if response.status_code in (429, 502, 503, 504):
            after = response.headers.get("Retry-After", "")
            after_s = float(after) if after.isascii() and after.isdigit() else 0.0
            return ServerAway(words, where=self._address.url, retry_after_s=after_s)
        return ServerRefused(words, where=self._address.url)


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield what came, cut at the last end of a line."""
    rest = b""
    async for received in response.aiter_raw():
        whole, end, beginning = received.rpartition(b"\n")
        if end:
            yield rest + whole
            rest = beginning
        else:
            rest += beginning
        if len(rest) > _LONGEST_LINE:
            raise RemoteProtocolError("the server sends a line that does not end")


def _refuse_nonsense(address: ServerAddress) -> None:
    try:
        url = httpx.URL(address.url)
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigurationError(f"{address.url!r} is no address: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError(
            f"{address.url!r} is no server's address", cure="write https://HOST:PORT"
        )
    if not _HOST_NAME.fullmatch(address.host):
        raise ConfigurationError(
            f"{address.host!r} cannot name a host", cure="letters, digits, dots and dashes can"
        )
    if url.scheme == "http" and address.token_file and not _is_loopback(url.host):
        _log.warning("the token goes to %s in the clear: use https", address.url)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(address: ServerAddress) -> ssl.SSLContext:
    if not address.url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(
            cafile=str(address.authorities) if address.authorities else None
        )
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if address.certificate is not None:
            context.load_cert_chain(address.certificate, address.key)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"TLS cannot be used: {error}", where=address.url) from error
    return context
