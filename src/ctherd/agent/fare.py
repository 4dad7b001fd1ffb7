"""How a document fares, in the words of a report, and since when."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ctherd.model.status import AssignmentStatus
from ctherd.service.evidence import Judged, OfNetns
from ctherd.signing.statements import DocumentId, HostDocument

Plain = dict[str, Any]

_NO_EVIDENCE: Final[OfNetns] = {}


def now() -> str:
    """Return the time as reports carry it: RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Fares:
    """What was told of each document, so that only news are told again.

    Shape: made from *before*, everything is told again, and times go on counting.
    """

    def __init__(self, before: "Fares | None" = None) -> None:
        self._known: dict[DocumentId, Plain] = before._known if before is not None else {}
        self._told: set[DocumentId] = set()

    def of(
        self,
        document: HostDocument,
        statuses: Iterable[AssignmentStatus],
        evidence: OfNetns = _NO_EVIDENCE,
    ) -> Plain | None:
        """Return the report of *document*, None if it says nothing new.

        Shape: *statuses* in the document's order of declaration.
        """
        before = self._known.get(document.id)
        report = _report(document, statuses, evidence, before, now())
        if report == before and document.id in self._told:
            return None
        self._known[document.id] = report
        self._told.add(document.id)
        return report

    def forget(self, document: DocumentId) -> None:
        """Tell it again, as if for the first time."""
        self._known.pop(document, None)
        self._told.discard(document)


def _report(
    document: HostDocument,
    statuses: Iterable[AssignmentStatus],
    evidence: OfNetns,
    before: Mapping[str, Any] | None,
    moment: str,
) -> Plain:
    known = before["assignments"] if before is not None else {}
    named = zip(document.document.assignments, statuses, strict=True)
    return {
        "router": document.router,
        "netns": document.document.netns,
        "version": list(document.version),
        "assignments": {
            name: _assignment(status, evidence, known.get(name, {"families": {}}), moment)
            for name, status in named
        },
    }


def _assignment(
    status: AssignmentStatus, evidence: OfNetns, before: Mapping[str, Any], moment: str
) -> Plain:
    return {
        "families": {
            family.value: _verdict(
                {"status": verdict.state.value, "reason": verdict.reason},
                before["families"].get(family.value),
                moment,
            )
            | _verified(evidence.get((status.key, family)))
            for family, verdict in status.families.items()
        },
        "remark": status.remark,
    }


def _verified(judged: Judged | None) -> Plain:
    """Return when it was proven and how; nothing where it was not."""
    if judged is None or not judged.verified_at:
        return {}
    return {"verified_at": judged.verified_at, "verified_by": judged.evidence.proof.value}


def _verdict(words: Plain, before: Mapping[str, Any] | None, moment: str) -> Plain:
    same = before is not None and all(before[name] == each for name, each in words.items())
    return {**words, "since": before["since"] if same and before is not None else moment}
