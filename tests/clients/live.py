"""The whole server of tests/api behind a real socket, in a thread with an event loop of its own."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import NamedTuple

from starlette.types import ASGIApp

from ctherd.api.listener import Listener, bind
from ctherd.authz.caller import Identity
from tests.api.server import Server, running

_PATIENCE_S = 30.0


class Live(NamedTuple):
    """A server that clients can reach at *url*."""

    url: str
    server: Server


Around = Callable[[ASGIApp], ASGIApp]


@contextmanager
def live(identity: Identity | None = None, around: Around = lambda app: app) -> Iterator[Live]:
    """Yield a server on a free port of loopback.

    Shape: callers are those of tests/api unless an *identity* is given; *around* puts something
    between its socket and its application.
    """
    ready: Future[Live] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    serving = _serve(identity, around, ready, stop)
    thread = Thread(target=lambda: loop.run_until_complete(serving))
    thread.start()
    try:
        yield ready.result(_PATIENCE_S)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_PATIENCE_S)
        loop.close()


async def _serve(
    identity: Identity | None, around: Around, ready: Future[Live], stop: asyncio.Event
) -> None:
    bound = bind("127.0.0.1", 0)
    async with running() as server:
        if identity is not None:
            server.identity = identity  # type: ignore[assignment]
        listener = Listener(around(server.app()), bound, None)
        serving = asyncio.create_task(listener.serve())
        await listener.started()
        ready.set_result(Live(f"http://127.0.0.1:{bound.getsockname()[1]}", server))
        await stop.wait()
        listener.stop()
        await serving
