"""What the doctor says: one fact, how bad it is, whom it concerns, and what cures it."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How bad it is. A note is worth knowing and needs no action."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def is_wrong(self) -> bool:
        """Somebody should act."""
        return self in (Severity.WARNING, Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom it concerns: one assignment, all of a router in its netns, or (all empty) the host."""

    router: str = ""
    netns: str = ""
    assignment: str = ""

    def __str__(self) -> str:
        if not self.router:
            return "this host"
        place = f"{self.router} (netns {self.netns})"
        return f"{place}, {self.assignment}" if self.assignment else place


HOST: Final = Subject()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was found. Shape: *cure* is a command line, or "" where there is none."""

    severity: Severity
    subject: Subject
    what: str
    why: str = ""
    cure: str = ""

    def __str__(self) -> str:
        because = f": {self.why}" if self.why else ""
        advice = f"\n        cure: {self.cure}" if self.cure else ""
        return f"{self.subject}: {self.what}{because}{advice}"


def as_data(diagnosis: Diagnosis) -> dict[str, object]:
    """Return *diagnosis* as plain data for JSON."""
    return asdict(diagnosis) | {"severity": diagnosis.severity.value}
