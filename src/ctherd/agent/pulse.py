"""What happened lately, for whoever looks on: a mark that changes, and the repairs."""

import asyncio
from collections import Counter, deque
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final, NamedTuple

from ctherd.model.document import NetnsName, RouterId
from ctherd.plan.explain import why
from ctherd.reconcile.reconciler import Report

_REMEMBERED: Final = 64
"""Repairs of which more than their number is known."""

_LONGEST_WAIT_S: Final = 60.0


class Repair(NamedTuple):
    """Drift that was repaired; *when* is RFC 3339, UTC, *words* what was done."""

    when: str
    router: RouterId
    netns: NetnsName
    seconds: float
    words: tuple[str, ...]


class Pulse:
    """Beats whenever some netns was looked at.

    Shape: *repairs* counts them by netns, *recent* has the last.
    """

    def __init__(self) -> None:
        # Another agent's marks mean nothing here.
        self._name = token_hex(8)
        self._serial = 0
        self.repairs: Counter[NetnsName] = Counter()
        self.recent: deque[Repair] = deque(maxlen=_REMEMBERED)
        self._beat = asyncio.Event()

    @property
    def mark(self) -> str:
        """What is equal only as long as nothing happens."""
        return f"{self._name}.{self._serial}"

    def beat(self) -> None:
        """Something may be otherwise than before."""
        self._serial += 1
        self._beat.set()
        self._beat = asyncio.Event()

    def repaired(self, report: Report, seconds: float) -> None:
        """Drift was repaired, so long after its event."""
        self.repairs[report.netns] += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        words = _in_words(report)
        self.recent.append(Repair(now, report.router, report.netns, seconds, words))

    async def later_than(self, mark: Any, patience_s: Any) -> None:
        """Wait until something happened after *mark*, but not for longer than *patience_s*."""
        if mark != self.mark or not isinstance(patience_s, int | float):
            return
        try:
            async with asyncio.timeout(min(patience_s, _LONGEST_WAIT_S)):
                await self._beat.wait()
        except TimeoutError:
            return


def pulse_as_data(pulse: Pulse) -> dict[str, Any]:
    """Return *pulse* as plain data."""
    return {
        "mark": pulse.mark,
        "repairs": dict(pulse.repairs),
        "recent": [
            {
                "when": each.when,
                "router": each.router,
                "netns": each.netns,
                "ms": each.seconds * 1000,
                "words": list(each.words),
            }
            for each in pulse.recent
        ],
    }


def _in_words(report: Report) -> tuple[str, ...]:
    plan = report.plan
    if plan is None:
        return ()
    changes = (f"{each.verb} {each.key}: {why(each, plan.holder)}" for each in plan.changes)
    return (*changes, *plan.repairs)
