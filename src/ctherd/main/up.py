"""Server and agent of one machine in one process, without any set-up: `ctherd up`.

They are two programs that happen to share an event loop: the agent follows the server over HTTP on
loopback, with a token of its own, and believes its signature like any other agent would.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import uvloop

from ctherd import systemd
from ctherd.agent.source import Source
from ctherd.agent.trust import PINNED_FILE
from ctherd.api.listener import bind, url_of
from ctherd.api.request_id import RequestIdFilter
from ctherd.authz.identity.none import PROJECT
from ctherd.authz.identity.token_file import TOKEN_FILE, Grant, create_token, read_tokens, split
from ctherd.client.access import ADDRESS_FILE, ADMIN_TOKEN_FILE
from ctherd.errors import ConfigurationError, NotFound
from ctherd.main.agent import run_agent
from ctherd.main.config import Config
from ctherd.main.core import private_directory, ring_of
from ctherd.main.follow import server_source
from ctherd.main.server import Running, serving
from ctherd.main.server_config import FollowOptions, ServerOptions, TlsOptions
from ctherd.main.wiring import Host
from ctherd.model.router import HostName
from ctherd.private_file import read_private, replace_private

_AGENT_TOKEN_FILE: Final = "agent-token"
_FOUND_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.02


def run_up(config: Config, reload: Callable[[], Config]) -> int:
    """Run both until told to end; return the exit code.

    Shape: *reload* reads the configuration again, for SIGHUP.
    Raises: ConfigurationError, Busy, Unavailable.
    """
    name = config.follow.host or socket.gethostname()
    options = _local(config.server, name)
    directory = private_directory(options.state_dir)
    with bind(options.listen.host, options.listen.port) as bound:
        follow = FollowOptions(
            server=url_of(bound, "http"),
            host=name,
            token_file=_token(directory, _AGENT_TOKEN_FILE, Grant(host=name)),
            server_keys=_pinned_keys(directory),
        )
        admin = Grant(user="admin", project=PROJECT, roles=("admin",), description="ctherd up")
        _token(directory, ADMIN_TOKEN_FILE, admin)

        def source(host: Host) -> Source:
            return server_source(config, host, follow)

        companion = _Companion(
            HostName(name), options, bound, lambda: _local(reload().server, name)
        )
        return run_agent(config, reload, source, companion)


class _Companion:
    """The server beside the agent, which is called *host* there."""

    log_filters = (RequestIdFilter(),)

    def __init__(
        self,
        host: HostName,
        options: ServerOptions,
        bound: socket.socket,
        reload: Callable[[], ServerOptions],
    ) -> None:
        self._host = host
        self._options = options
        self._bound = bound
        self._reload = reload
        self._running: Running | None = None
        self._announcing: asyncio.Task[None] | None = None

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that both work in."""
        return uvloop.new_event_loop()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Future[None]]:
        """Serve; the future is done only if serving ends by itself."""
        address = self._options.state_dir / ADDRESS_FILE
        async with serving(self._options, self._bound, self._reload) as running:
            self._running = running
            replace_private(address, f"{running.url}\n".encode("ascii"))
            try:
                yield running.http
            finally:
                if self._announcing is not None:
                    self._announcing.cancel()
                address.unlink(missing_ok=True)

    def announce(self) -> None:
        """Say that all is ready as soon as the agent has found the server.

        A request that waits for the agent would else be told that nobody is there.
        """
        self._announcing = asyncio.create_task(self._announce(), name="announce")

    async def _announce(self) -> None:
        assert self._running is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(_FOUND_S):
                while not self._running.services.feed.is_watched_by(self._host):
                    await asyncio.sleep(_LOOK_EVERY_S)
        systemd.notify("READY=1")

    def reload(self) -> None:
        """Read the configuration again."""
        if self._running is not None:
            self._running.reload()


def _local(options: ServerOptions, host: str) -> ServerOptions:
    """Return *options* for a server that this machine alone can reach.

    Raises: ConfigurationError if they say otherwise.
    """
    if not ip_address(options.listen.host).is_loopback:
        raise ConfigurationError(
            f"`ctherd up` is for this machine alone, and {options.listen.host} is not",
            cure="listen at 127.0.0.1; for several machines run `ctherd server` and "
            "`ctherd agent --server URL`",
        )
    return replace(options, tls=TlsOptions(), default_host=options.default_host or host)


def _token(directory: Path, name: str, grant: Grant) -> Path:
    """Return the file with a token that is good for *grant*, made if need be."""
    path, tokens = directory / name, directory / TOKEN_FILE
    try:
        known = split(read_private(path).decode("ascii").strip())
        token = read_tokens(tokens).get(known.id) if known else None
    except (NotFound, ValueError):
        token = None
    if token is None or (token.host or "") != grant.host:
        text, _ = create_token(tokens, grant)
        replace_private(path, f"{text}\n".encode("ascii"))
    return path


def _pinned_keys(directory: Path) -> Path:
    """Return a file of the server's public keys, for the agent to believe."""
    path = directory / PINNED_FILE
    keys = ring_of(directory).key_set.as_plain()
    replace_private(path, json.dumps(keys, indent=2).encode("ascii") + b"\n")
    return path
