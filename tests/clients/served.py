"""The server as `ctherd server` wires it, behind a real socket, in a thread with its own loop."""

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from ctherd.api.listener import bind
from ctherd.authz.identity.token_file import TOKEN_FILE, Grant, create_token
from ctherd.main.core import private_directory
from ctherd.main.server import serving
from ctherd.main.server_config import ServerOptions

HOST = "node-1"

_PATIENCE_S = 30.0


class Served(NamedTuple):
    """A server at *url*, and tokens of an administrator and of the agent of HOST."""

    url: str
    admin: str
    agent: str


@contextmanager
def served(directory: Path) -> Iterator[Served]:
    """Yield a server with its state in *directory*, which is new."""
    tokens = private_directory(directory) / TOKEN_FILE
    admin, _ = create_token(tokens, Grant(user="root", project="ops", roles=("admin",)))
    agent, _ = create_token(tokens, Grant(host=HOST))
    ready: Future[str] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    serve = _serve(ServerOptions(state_dir=directory), ready, stop)
    thread = Thread(target=lambda: loop.run_until_complete(serve))
    switch_s = sys.getswitchinterval()
    thread.start()
    try:
        yield Served(ready.result(_PATIENCE_S), admin, agent)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_PATIENCE_S)
        loop.close()
        sys.setswitchinterval(switch_s)


async def _serve(options: ServerOptions, ready: Future[str], stop: asyncio.Event) -> None:
    with bind("127.0.0.1", 0) as bound:
        try:
            async with serving(options, bound, lambda: options) as running:
                ready.set_result(running.url)
                await stop.wait()
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
            raise
