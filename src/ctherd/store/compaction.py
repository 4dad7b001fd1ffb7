"""Keeps the change log short: it grows with every commit, and nobody resumes from long ago."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from ctherd.store.port import Store, Unavailable

_logger: Final = logging.getLogger("ctherd.store")

KEPT: Final = 5000
"""Commits that a watch may lag behind by: minutes of a busy server, some 50 MB."""


class Compaction:
    """Compacts *store* to the last *keep* commits, every *every_s*, from start to close."""

    def __init__(self, store: Store, *, keep: int = KEPT, every_s: float = 60.0) -> None:
        self._store = store
        self._keep = keep
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first time is now."""
        self._task = asyncio.create_task(self._run(), name="store-compaction")

    async def close(self) -> None:
        """End it."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._store.compact(self._keep)
            except Unavailable as error:
                # Whoever needs the store is told louder; the log can wait.
                _logger.debug("the change log was not compacted: %s", error)
            except Exception:
                _logger.exception("the change log was not compacted")
            await asyncio.sleep(self._every_s)
