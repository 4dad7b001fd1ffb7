"""What in a netns keeps helpers from working, or soon will, however right their rules are."""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from ctherd.dataplane.conntrack import expectation_limit, expectations, table_load
from ctherd.dataplane.finding import Finding, FindingKind
from ctherd.model.assignment import AssignmentKey
from ctherd.netlink.dialogue import Dialogue

_NEARLY_FULL: Final = 0.9


def trouble(
    dialogue: Dialogue, findings: Iterable[Finding], keys: Collection[AssignmentKey]
) -> Iterator[str]:
    """Yield, in words, what stands in the way of the assignments *keys*.

    Shape: *findings* are what others have in the netns.
    Raises: DataplaneError, also where the kernel has no ctnetlink.
    """
    for finding in findings:
        if finding.kind is FindingKind.UNTRACKED:
            hidden = [key for key in keys if finding.scope.may_match(key.protocol.value, key.port)]
            if hidden:
                yield f"{', '.join(map(str, hidden))}: not tracked, so no helper sees it: {finding}"
    load = table_load(dialogue)
    if load.limit and load.entries >= _NEARLY_FULL * load.limit:
        yield f"the conntrack table is nearly full: {load.entries} of {load.limit} flows"
    expected, limit = sum(expectations(dialogue).values()), expectation_limit()
    if limit and expected >= _NEARLY_FULL * limit:
        yield f"the expectation table is nearly full: {expected} of {limit}"
