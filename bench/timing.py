"""How time is taken: wall clock, garbage collected beforehand, medians and percentiles."""

import gc
import time
from collections.abc import Callable, Sequence
from statistics import median, quantiles


def timed_s(action: Callable[[], object]) -> float:
    """Return the seconds that *action* takes.

    The garbage of what came before is collected first. The collector stays switched on meanwhile,
    as it is in the agent.
    """
    gc.collect()
    return lap_s(action)


def lap_s(action: Callable[[], object]) -> float:
    """Return the seconds that *action* takes, for short ones that are repeated many times."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def percentile(samples: Sequence[float], percent: int) -> float:
    """Return the value below which *percent* of *samples* lie."""
    return quantiles(samples, n=100, method="inclusive")[percent - 1]


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the ratio of what was measured in pairs, one right after the other.

    The median of the pairs' ratios, not the ratio of medians: what slows the machine down for a
    while slows both halves of a pair down.
    """
    return median(a / b for a, b in zip(numerators, denominators, strict=True))
