"""Starts the agent: configuration, log, lock, metrics, then the loop."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from ctherd import systemd
from ctherd.agent.agent import Agent
from ctherd.agent.herd import HerdSource
from ctherd.agent.privilege import FOR_IPTABLES_LEGACY, drop_privileges
from ctherd.agent.source import Source
from ctherd.errors import Busy
from ctherd.herdfile.read import read_herd
from ctherd.main.config import Config
from ctherd.main.expectations import Expectations
from ctherd.main.keeper import FdStore
from ctherd.main.log import set_up_log
from ctherd.main.metrics import Metrics
from ctherd.main.reload import Reload
from ctherd.main.wiring import Host, needs_iptables_legacy, opened
from ctherd.model.document import Document

_log: Final = logging.getLogger("ctherd.agent")


class Companion(Protocol):
    """What runs beside the agent in its event loop: a server, if it is not alone."""

    @property
    def log_filters(self) -> Sequence[logging.Filter]:
        """What gives log records the ids of requests."""

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that both work in."""

    def running(self) -> AbstractAsyncContextManager[asyncio.Future[None]]:
        """Run while the context lasts; the future is done only if it ends by itself."""

    def announce(self) -> None:
        """Say, now or soon, that all of it is ready: the agent is."""

    def reload(self) -> None:
        """Read the configuration again."""


class _Alone:
    """No companion."""

    log_filters = ()

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Future[None]]:
        yield asyncio.get_running_loop().create_future()

    def announce(self) -> None:
        systemd.notify("READY=1")

    def reload(self) -> None: ...


def run_agent(
    config: Config,
    reload: Callable[[], Config],
    make_source: Callable[[Host], Source] | None = None,
    companion: Companion | None = None,
) -> int:
    """Run the agent until it is told to end; return the exit code.

    Shape: *reload* reads the configuration again, for SIGHUP; *make_source* returns where the
    documents come from, by default the herd file; *companion* is up before the agent begins, and
    until it has ended.
    Raises: Busy if another agent serves the same namespaces or state directory.
    """
    beside = companion or _Alone()
    set_up_log(config, beside.log_filters)
    with ExitStack() as stack:
        stack.enter_context(only_agent(config.netns_dir))
        host = stack.enter_context(opened(config, stays=True))
        _log.info("dataplane %s: %s", *host.choice)
        kept = systemd.kept_fds()
        host.directory.inherit(list(kept))
        expectations = Expectations(host, config.sweep_interval_s)
        metrics = Metrics(host.service, expectations)
        if config.metrics is not None:
            metrics.serve(config.metrics.host, config.metrics.port)
        source = make_source(host) if make_source is not None else _herd(config)
        drop_privileges(FOR_IPTABLES_LEGACY if needs_iptables_legacy(host) else {})

        def sweep_every(interval_s: float) -> None:
            agent.sweep_every(interval_s)
            expectations.interval_s = interval_s

        take_over = Reload(
            reload,
            config,
            host.service,
            narrow=host.dataplane.narrow,
            set_up_log=lambda fresh: set_up_log(fresh, beside.log_filters),
            sweep_every=sweep_every,
        )

        def reload_all() -> None:
            take_over()
            beside.reload()

        store = FdStore(host, kept.values())
        agent = _agent(config, reload_all, host, source, metrics, store, beside.announce)
        counting = expectations.run if config.metrics is not None else None
        with asyncio.Runner(loop_factory=beside.new_loop) as runner:
            runner.run(_run_beside(beside, _run(agent, metrics, counting)))
    return 0


async def _run_beside(companion: Companion, agent: Coroutine[None, None, None]) -> None:
    """Let *agent* work while *companion* runs; if one of them fails, both end."""
    async with companion.running() as failed:
        working = asyncio.create_task(agent, name="agent")
        await asyncio.wait({working, failed}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        failed.result()


async def _run(
    agent: Agent, metrics: Metrics, counting: Callable[[], Coroutine[None, None, None]] | None
) -> None:
    """Let the agent work, and count for the metrics beside it, if anybody can see them."""
    metrics.attach(asyncio.get_running_loop(), agent.queue.depth, agent.source)
    if counting is None:
        await agent.run()
        return
    task = asyncio.create_task(counting())
    task.add_done_callback(_tell_failure)
    try:
        await agent.run()
    finally:
        task.cancel()


def _tell_failure(counting: asyncio.Task[None]) -> None:
    """Say why counting ended: that is a bug, but no reason to end the agent."""
    if not counting.cancelled() and counting.exception() is not None:
        _log.error("expectations are not counted any more", exc_info=counting.exception())


def _herd(config: Config) -> Source:
    def documents(path: Path) -> Sequence[Document]:
        return read_herd(path).documents

    return HerdSource(config.file, documents)


def _agent(
    config: Config,
    reload: Callable[[], None],
    host: Host,
    source: Source,
    metrics: Metrics,
    store: FdStore,
    announce: Callable[[], None],
) -> Agent:
    return Agent(
        host.service,
        host.directory,
        source,
        state_dir=config.state_dir,
        sweep_interval_s=config.sweep_interval_s,
        reload=reload,
        observer=metrics,
        keeper=store,
        announce=announce,
    )


def only_agent(netns_dir: Path) -> socket.socket:
    """Claim *netns_dir* on this host for as long as the returned socket is open.

    An abstract address is given back by the kernel, however this process ends.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        claim.bind(f"\0ctherd-agent:{os.path.realpath(netns_dir)}"[:107])
    except OSError as error:
        claim.close()
        raise Busy(
            f"another ctherd agent serves {netns_dir} on this host",
            cure="end it first; `ctherd show` asks it",
        ) from error
    return claim
