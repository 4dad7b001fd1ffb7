"""Starts a server and ends it: its socket, its store, its services, and the signals between."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import uvloop

from ctherd import systemd
from ctherd.api.listener import Listener, bind, url_of
from ctherd.api.request_id import RequestIdFilter
from ctherd.api.tls import load_certificate
from ctherd.errors import CtherdError
from ctherd.main.config import Config
from ctherd.main.core import Core, opened_core
from ctherd.main.http import listening_tls, tls_files
from ctherd.main.log import set_up_log
from ctherd.main.server_config import ServerOptions
from ctherd.main.services import Adjustable, Services, opened_services
from ctherd.signing.key_file import KEY_FILE, load_ring

_log: Final = logging.getLogger(__name__)

_SWITCH_S: Final = 0.0005
_LOOK_EVERY_S: Final = 1.0

Reload = Callable[[], ServerOptions]


def run_server(config: Config, reload: Callable[[], Config]) -> int:
    """Run the server until it is told to end; return the exit code.

    Shape: *reload* reads the configuration again, for SIGHUP.
    Raises: ConfigurationError, Busy, Unavailable.
    """
    set_up_log(config, [RequestIdFilter()])
    listen = config.server.listen
    with (
        bind(listen.host, listen.port) as bound,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_run(config.server, bound, lambda: reload().server))
    return 0


async def _run(options: ServerOptions, bound: socket.socket, reload: Reload) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    async with serving(options, bound, reload) as running:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        loop.add_signal_handler(signal.SIGHUP, running.reload)
        beats = asyncio.create_task(_beats(), name="watchdog")
        systemd.notify("READY=1")
        try:
            await running.until(ended)
        finally:
            systemd.notify("STOPPING=1")
            beats.cancel()


class Running:
    """A server that serves.

    Shape: *url* is its root; *http* ends by itself only if something is broken.
    """

    def __init__(
        self,
        services: Services,
        url: str,
        http: asyncio.Task[None],
        on_reload: Callable[[], None],
    ) -> None:
        self.services = services
        self.url = url
        self.http = http
        self._on_reload = on_reload

    def reload(self) -> None:
        """Read again what an operator may have changed; what cannot be meant changes nothing."""
        try:
            self._on_reload()
        except CtherdError as error:
            _log.error("everything stays as it was: %s", error)
        else:
            _log.info("the configuration and the certificate were read again")

    async def until(self, ended: asyncio.Event) -> None:
        """Wait for *ended*, or for what must not happen: that serving ends by itself."""
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({waiting, self.http}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self.http.done():
            self.http.result()


@asynccontextmanager
async def serving(
    options: ServerOptions, bound: socket.socket, reload: Reload
) -> AsyncIterator[Running]:
    """Serve at *bound* while the context lasts; connections are taken when it is entered.

    Raises: ConfigurationError, Busy, Unavailable.
    """
    # The store's writer wants its turn between two statements. A loop that is busy, but often in
    # the kernel, would make it wait for hundreds of milliseconds at the default of 5.
    sys.setswitchinterval(_SWITCH_S)
    tls = listening_tls(options)
    adjustable = Adjustable(options.tenants_profile())

    def adjust() -> None:
        fresh = reload()
        profile, files = fresh.tenants_profile(), tls_files(fresh.tls)
        if tls is not None and files is not None:
            load_certificate(tls, files)
        adjustable.profile = profile

    async with (
        opened_core(options.state_dir) as core,
        opened_services(core, options, adjustable) as services,
    ):
        listener = Listener(services.app, bound, tls)
        following = asyncio.create_task(_follow_key_file(core), name="key-file")
        http = asyncio.create_task(listener.serve(), name="http")
        url = url_of(bound, "http" if tls is None else "https")
        try:
            await _started(listener, http)
            _log.info("serving at %s, in epoch %d of the store", url, core.keys.epoch)
            yield Running(services, url, http, adjust)
        finally:
            following.cancel()
            listener.stop()
            services.end_streams()
            await asyncio.gather(http, return_exceptions=True)
            _log.info("ended")


async def _started(listener: Listener, http: asyncio.Task[None]) -> None:
    """Return when connections are taken; raise what keeps them from it."""
    started = asyncio.create_task(listener.started())
    await asyncio.wait({started, http}, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if http.done():
        http.result()


async def _follow_key_file(core: Core) -> None:
    """Take over the signing keys whenever `ctherd key` changed them."""
    adopted, complaint = core.keys.ring, ""
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            ring = load_ring(core.directory / KEY_FILE)
            if ring != adopted:
                await core.key_change.adopt(ring)
                adopted, complaint = ring, ""
        except CtherdError as error:
            if str(error) != complaint:
                complaint = str(error)
                _log.error("the signing keys stay as they were: %s", error)


async def _beats() -> None:
    """Tell systemd that the event loop turns."""
    while True:
        await asyncio.sleep(systemd.watchdog_interval_s() or 3600.0)
        systemd.notify("WATCHDOG=1")
