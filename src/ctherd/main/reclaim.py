"""Takes what bears a ctherd mark into the journal again, after it was lost."""

from collections.abc import Sequence
from typing import Any

from ctherd.main.wiring import Host
from ctherd.model.document import Document
from ctherd.model.observation import Observation, Ownership, Tag
from ctherd.ports import Edit, Observed, ObserveRequest


def reclaim_tables(
    host: Host, documents: Sequence[Document], *, really: bool
) -> list[dict[str, Any]]:
    """Return, for every declared router, what was found; with *really*, record what bears a mark.

    What such a table holds is ours from then on: the next `apply` removes what is undeclared.
    """
    known = host.journal.load()
    answers, edits = [], []
    for document in documents:
        tag, what = "", "is in the journal already"
        if document.netns not in known:
            tag, what = _look(host, document)
        if tag:
            edits.append(Edit(document.netns, document.router, Tag(tag)))
        answers.append(
            {"router": document.router, "netns": document.netns, "tag": tag, "what": what}
        )
    if really and edits:
        host.journal.record(edits)
    return answers


def _look(host: Host, document: Document) -> tuple[str, str]:
    seen = _observe(host, document, None)
    if isinstance(seen, Observation) and seen.mark:
        # By its own mark it is ours, unless somebody else has claimed it.
        tag, seen = seen.mark, _observe(host, document, Tag(seen.mark))
        if isinstance(seen, Observation) and seen.ownership is Ownership.OURS:
            return tag, f"bears the mark {tag}"
    if not isinstance(seen, Observation):
        return "", str(seen)
    if seen.ownership is Ownership.ABSENT:
        return "", "has nothing of ours"
    return "", f"left alone: {seen.holder}"


def _observe(host: Host, document: Document, tag: Tag | None) -> Observed:
    (seen,) = host.dataplane.observe([ObserveRequest(document.netns, tag)])
    return seen
