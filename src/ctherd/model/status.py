"""The one vocabulary for how an assignment fares, keyed (assignment, host, family)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.catalog import Family


class State(StrEnum):
    """How an assignment fares on one host, in one family or in all of them together."""

    PENDING = "pending"
    ACTIVE = "active"
    PARTIAL = "partial"
    DENIED = "denied"
    CONFLICT = "conflict"
    ERROR = "error"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and, in one sentence, the reason for it (empty for a plain ``active``)."""

    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AssignmentStatus:
    """How one assignment fares: in each family it can be true in, and summed up.

    Shape: *remark* says what a user should know although nothing is wrong ("IPv4 only").
    """

    key: AssignmentKey
    destinations: Destinations
    families: Mapping[Family, Verdict] = field(default_factory=dict)
    remark: str = ""

    @property
    def overall(self) -> Verdict:
        """The family verdicts in one: equal ones are kept, unequal ones make ``partial``."""
        verdicts = list(self.families.values()) or [Verdict(State.PENDING)]
        if all(verdict.state is verdicts[0].state for verdict in verdicts):
            return verdicts[0]
        bad = [
            f"{family}: {verdict.state} {verdict.reason}".rstrip()
            for family, verdict in self.families.items()
            if verdict.state is not State.ACTIVE
        ]
        return Verdict(State.PARTIAL, "; ".join(bad))
