"""When to look at a netns: at once, unless it keeps failing, or somebody keeps changing it."""

from dataclasses import dataclass, field
from random import Random
from typing import Final

from ctherd.model.document import NetnsName

_QUIET_S: Final = 1.0
"""After this long without a reason to wait, patience is new."""


@dataclass(slots=True)
class _Delay:
    next_s: float
    last_s: float


@dataclass(slots=True)
class Patience:
    """Delays that double with each repetition, per netns, with jitter, and end with quiet.

    Shape: seconds; the first occurrence waits *first_s*, none waits longer than *longest_s*.
    """

    first_s: float
    longest_s: float
    random: Random = field(default_factory=Random)
    _delays: dict[NetnsName, _Delay] = field(default_factory=dict)

    def delay_s(self, netns: NetnsName, now_s: float) -> float:
        """Return how long to wait now, and wait longer the next time."""
        known = self._delays.get(netns)
        if known is None or now_s - known.last_s > max(_QUIET_S, 2 * known.next_s):
            known = self._delays[netns] = _Delay(self.first_s, now_s)
        delay_s = known.next_s
        known.last_s = now_s + delay_s
        known.next_s = min(self.longest_s, max(2 * delay_s, 0.001))
        return delay_s * self.random.uniform(0.8, 1.2)

    def reset(self, netns: NetnsName) -> None:
        """There is no reason to wait any more."""
        self._delays.pop(netns, None)
