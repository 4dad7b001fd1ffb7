"""Starts the agent: configuration, log, lock, metrics, then the loop."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from ctherd import systemd
from ctherd.agent.agent import Agent
from ctherd.agent.herd import HerdSource
from ctherd.agent.privilege import drop_privileges
from ctherd.agent.source import Source
from ctherd.errors import Busy
from ctherd.guard.decide import Guard
from ctherd.herdfile.read import read_herd
from ctherd.main.config import Config
from ctherd.main.expectations import Expectations
from ctherd.main.keeper import FdStore
from ctherd.main.metrics import Metrics
from ctherd.main.wiring import Host, opened
from ctherd.model.document import Document

_log: Final = logging.getLogger("ctherd.agent")


def run_agent(
    config: Config,
    reload: Callable[[], Config],
    make_source: Callable[[Host], Source] | None = None,
) -> int:
    """Run the agent until it is told to end; return the exit code.

    Shape: *reload* reads the configuration again, for SIGHUP; *make_source* returns where the
    documents come from, by default the herd file.
    Raises: Busy if another agent serves the same namespaces or state directory.
    """
    set_up_log(config)
    with ExitStack() as stack:
        stack.enter_context(_only_agent(config.netns_dir))
        host = stack.enter_context(opened(config, stays=True))
        kept = systemd.kept_fds()
        host.directory.inherit(list(kept))
        expectations = Expectations(host, config.sweep_interval_s)
        metrics = Metrics(host.service, expectations)
        if config.metrics is not None:
            metrics.serve(config.metrics.host, config.metrics.port)
        source = make_source(host) if make_source is not None else _herd(config)
        drop_privileges()
        agent = _agent(config, reload, host, source, metrics, FdStore(host, kept.values()))
        counting = expectations.run if config.metrics is not None else None
        asyncio.run(_run(agent, metrics, counting))
    return 0


async def _run(
    agent: Agent, metrics: Metrics, counting: Callable[[], Coroutine[None, None, None]] | None
) -> None:
    """Let the agent work, and count for the metrics beside it, if anybody can see them."""
    metrics.attach(asyncio.get_running_loop(), agent.queue)
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
    reload: Callable[[], Config],
    host: Host,
    source: Source,
    metrics: Metrics,
    store: FdStore,
) -> Agent:
    def reload_policy() -> None:
        host.service.set_guard(Guard(reload().policy))

    return Agent(
        host.service,
        host.directory,
        source,
        state_dir=config.state_dir,
        sweep_interval_s=config.sweep_interval_s,
        reload_policy=reload_policy,
        observer=metrics,
        keeper=store,
    )


def set_up_log(config: Config) -> None:
    """Log to standard error, as text for people or as JSON, one object a line."""
    handler = logging.StreamHandler()
    if config.log_format == "json":
        handler.setFormatter(_Json())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("ctherd")
    logger.handlers[:] = [handler]
    logger.setLevel(config.log_level.upper())


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _only_agent(netns_dir: Path) -> socket.socket:
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
