"""What came of a case: per phase what was seen, and what of it is not as it must be.

The truth table, which ``PhaseResult.wrong`` carries out:

```
                    off      on       revoked
 exchange           fails    works    fails
 control            lives    lives    lives
 flow names helper  no       yes      no
 expectations       none     some     none      (none at all where the helper expects nothing)
```

A flow that was itself expected may bear a helper that was handed on to it (H.245 by Q.931, or sip
by sip): the kernel takes that from nobody, so ctherd has to say that it left just as many.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ctherd.lab.case import Case, Program


class Phase(StrEnum):
    """When an exchange is tried."""

    OFF = "off"
    ON = "on"
    REVOKED = "revoked"


class Verdict(StrEnum):
    """What a case came to."""

    PROVEN = "proven"
    NOT_PROVEN = "not proven"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """What was seen of one exchange.

    Shape: *words* say what came out, or why it failed; *flows* to the control port named the helper
    afterwards; *announced* expectations were the helper's during the phase, *expected* are left;
    *handed_on* flows, which it expected, name a helper that it handed on to them.
    """

    phase: Phase
    worked: bool
    words: str
    took_ms: float
    alive: bool
    flows: int
    announced: int
    expected: int
    handed_on: int = 0

    def wrong(self, case: Case) -> Iterator[str]:
        """Yield what is not as it must be, in words."""
        helped = self.phase is Phase.ON
        if self.worked is not helped:
            yield f"the exchange failed: {self.words}" if helped else "the exchange worked"
        if not self.alive:
            yield "the control connection died"
        if bool(self.flows) is not helped:
            yield f"{self.flows} flows name the helper"
        if bool(self.announced) is not (helped and case.expects):
            yield f"{self.announced} expectations were announced"
        if self.expected and not helped:
            yield f"{self.expected} expectations are left"

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "exchange": "worked" if self.worked else "failed",
            "words": self.words,
            "took_ms": round(self.took_ms, 1),
            "control_alive": self.alive,
            "flows_with_helper": self.flows,
            "expectations_announced": self.announced,
            "expectations_left": self.expected,
            "flows_handed_on": self.handed_on,
        }


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a case with one dataplane.

    Shape: *versions* are those of the software, by program; *revoked* is what ctherd said of taking
    the helper away; *error* is why it ended before all phases were seen; *missing* has to be
    installed first.
    """

    case: Case
    dataplane: str
    versions: Mapping[str, str] = field(default_factory=dict)
    phases: tuple[PhaseResult, ...] = ()
    revoked: tuple[Mapping[str, Any], ...] = ()
    error: str = ""
    missing: tuple[Program, ...] = ()
    took_s: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """Proven only if every phase was seen, and was as it must be."""
        if self.missing:
            return Verdict.SKIPPED
        return Verdict.NOT_PROVEN if any(self.wrong()) else Verdict.PROVEN

    def wrong(self) -> Iterator[str]:
        """Yield everything that is not as it must be, in words."""
        if self.error:
            yield self.error
        for each in self.phases:
            yield from (f"{each.phase}: {words}" for words in each.wrong(self.case))
        if not self.error and not self.missing:
            yield from self._wrongly_revoked()

    def _wrongly_revoked(self) -> Iterator[str]:
        if [each.phase for each in self.phases] != list(Phase):
            yield "not all phases were seen"
        if not any(each["flows"] for each in self.revoked):
            yield "ctherd says that it took the helper from no flow"
        left = sum(each["left"] for each in self.revoked)
        handed_on = sum(each.handed_on for each in self.phases[-1:])
        if left != handed_on or not all(each["done"] for each in self.revoked):
            why = "; ".join(each["why"] for each in self.revoked)
            yield f"ctherd left {left} flows as they were: {why}"

    @property
    def why(self) -> str:
        """Why it is not proven, in one line, or what has to be installed."""
        if self.missing:
            names = " and ".join(each.name for each in self.missing)
            packages = " ".join(each.package for each in self.missing)
            return f"{names} not installed (apt install {packages})"
        return "; ".join(self.wrong())

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            **self.case.as_data(),
            "dataplane": self.dataplane,
            "versions": dict(self.versions),
            "verdict": self.verdict.value,
            "why": self.why,
            "phases": {each.phase.value: each.as_data() for each in self.phases},
            "revoked": [dict(each) for each in self.revoked],
            "took_s": round(self.took_s, 2),
        }
