"""Takes tables that bear a ctherd mark into the journal again, after it was lost."""

from collections.abc import Sequence
from typing import Any

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.observe import read_table
from ctherd.errors import CtherdError
from ctherd.main.wiring import Host
from ctherd.model.document import Document
from ctherd.model.observation import Tag
from ctherd.ports import Edit


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
    try:
        table = read_table(host.dataplane.dialogue(document.netns))
    except (CtherdError, OSError) as error:
        return "", str(error)
    if table is None:
        return "", "has no table of ours"
    tag = layout.tag_of(table.comment)
    if table.owner:
        return "", "its table is claimed by another process"
    if not tag:
        return "", "its table bears no mark of ctherd: foreign, left alone"
    return tag, f"its table bears the mark {tag}"
