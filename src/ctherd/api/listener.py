"""The HTTP server below the API: its socket, its TLS, its connections, and how it ends.

uvicorn does the work. What it does not know is added here: whose certificate a connection showed,
a limit of time for the head of a request, and an end that does not wait for streams.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ctherd.api.request import CERTIFICATE_HOST
from ctherd.errors import ConfigurationError

_log: Final = logging.getLogger(__name__)

_BACKLOG: Final = 2048
_KEEP_ALIVE_S: Final = 75
"""Longer than our own clients keep a connection: they close it, and no request is lost in it."""
_HEAD_S: Final = 20.0
_END_S: Final = 5
_UNREAD_MS: Final = 60_000


class Listener:
    """Serves *app* at *bound* until told to stop.

    Shape: *tls* None serves plain HTTP.
    """

    def __init__(self, app: ASGIApp, bound: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._socket = bound
        config = uvicorn.Config(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_END_S,
            ssl_context_factory=None if tls is None else lambda *_: tls,
        )
        self._server = _Server(config)

    async def serve(self) -> None:
        """Serve until ``stop``, and until what was asked before is answered, within bounds."""
        await self._server.serve(sockets=[self._socket])

    async def started(self) -> None:
        """Return when connections are taken."""
        await self._server.listening.wait()

    def stop(self) -> None:
        """Take nothing more, and let ``serve`` return soon."""
        self._server.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to that address; port 0: any that is free.

    Raises: ConfigurationError if the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections have it from here: a peer that takes nothing for so long is let go, however
        # alive it is. It is what ends a stream that nobody reads.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"nothing can listen at {host} port {port}: {error.strerror}",
            cure="choose another address with --listen; is ctherd running already?",
        ) from error
    return bound


def url_of(bound: socket.socket, scheme: str) -> str:
    """Return the root URL of what listens there."""
    host, port = bound.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: who started it decides when it ends."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class _Connection(HttpToolsProtocol):
    """One connection: knows its certificate, and does not wait for ever for a request."""

    _host = ""
    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._host = certificate_host(transport.get_extra_info("peercert"))
        self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[CERTIFICATE_HOST] = self._host  # type: ignore[typeddict-unknown-key]
        self._await_head()

    def on_headers_complete(self) -> None:
        self._have_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(_HEAD_S, self._give_up)

    def _have_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _give_up(self) -> None:
        _log.info("a client did not say what it wants within %g s", _HEAD_S)
        self.transport.close()


def certificate_host(certificate: Any) -> str:
    """Return the one host that a verified certificate names, "" if none or if it is not clear.

    Shape: as ``ssl.SSLSocket.getpeercert`` returns it; DNS names first (RFC 9525: a common name
    counts only where there are none).
    """
    if not certificate:
        return ""
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    if not names:
        parts = [part for parts in certificate.get("subject", ()) for part in parts]
        names = [value for kind, value in parts if kind == "commonName"]
    return names[0] if len(names) == 1 and "*" not in names[0] else ""
