"""All results of a run, with what they were got on: the evidence for this kernel."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ctherd import __version__
from ctherd.lab.result import CaseResult, Verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run of the lab came to; it took *took_s*."""

    results: Sequence[CaseResult]
    took_s: float

    @property
    def kernel(self) -> str:
        """The release of the running kernel."""
        return os.uname().release

    @property
    def counts(self) -> dict[str, int]:
        """How many cases came to which verdict."""
        counted = Counter(each.verdict for each in self.results)
        return {each.value: counted[each] for each in Verdict}

    @property
    def complete(self) -> bool:
        """Every case was proven."""
        return all(each.verdict is Verdict.PROVEN for each in self.results)

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        system = os.uname()
        return {
            "kernel": {"release": system.release, "version": system.version},
            "machine": system.machine,
            "ctherd": __version__,
            "took_s": round(self.took_s, 1),
            "counts": self.counts,
            "cases": [each.as_data() for each in self.results],
        }
