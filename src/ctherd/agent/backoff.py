"""How long to wait before the next attempt, so that many agents do not come at once."""

from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True)
class Backoff:
    """Waits that double with every failure; each is anything between a tenth of its length and all.

    The spread is wide on purpose: the agents that a restarted server lost, it lost in one moment.
    Shape: seconds.
    """

    first_s: float
    longest_s: float
    random: Random = field(default_factory=Random)
    _failures: int = 0

    def wait_s(self, at_least_s: float = 0.0) -> float:
        """Return how long to wait now, and wait longer the next time."""
        length_s = min(self.longest_s, self.first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return max(at_least_s, length_s * 0.1) + length_s * 0.9 * self.random.random()

    def reset(self) -> None:
        """It went well."""
        self._failures = 0
