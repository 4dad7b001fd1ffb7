"""Counts what helpers expect, in every netns of ours: round after round, and never in a hurry."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

from ctherd.dataplane.conntrack import expectations
from ctherd.errors import CtherdError
from ctherd.main.wiring import Host
from ctherd.model.document import NetnsName

_log: Final = logging.getLogger("ctherd.agent")

_SLICE_S: Final = 0.002
"""How long the agent counts in one go; a single crowded netns may take longer."""

_SHARE: Final = 0.02
"""How much of the agent's time counting may take, at most."""


class Expectations:
    """What the helpers of all routers expected in the last round.

    A scrape must not make the agent read a thousand conntrack tables while drift waits to be
    repaired. So a round begins *interval_s* after the one before, and is made of slices, between
    which the agent has time for everything else.
    """

    def __init__(self, host: Host, interval_s: float) -> None:
        self._host = host
        self.interval_s = interval_s
        self._total: Counter[str] = Counter()

    def total(self) -> Mapping[str, int]:
        """Return the number of expectations by helper; one that expected something once stays."""
        return self._total

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            total = Counter(dict.fromkeys(self._total, 0))
            began_s = time.monotonic()
            for netns in list(self._host.service.reconciler.entries):
                total.update(self._count(netns))
                took_s = time.monotonic() - began_s
                if took_s > _SLICE_S:
                    await asyncio.sleep(took_s / _SHARE)
                    began_s = time.monotonic()
            self._total = total
            await asyncio.sleep(self.interval_s)

    def _count(self, netns: NetnsName) -> Mapping[str, int]:
        if self._host.dataplane.transport(netns) is None:
            return {}  # it was let go of, and counting is no reason to open it
        try:
            return expectations(self._host.dataplane.dialogue(netns))
        except (CtherdError, OSError) as error:
            _log.debug("%s: expectations cannot be counted: %s", netns, error)
            return {}
