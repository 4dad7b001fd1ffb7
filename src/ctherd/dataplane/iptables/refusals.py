"""Which assignments are at fault when a restore fails, so that their neighbours need not suffer.

iptables-nft names the lines that the kernel refuses. iptables-legacy names only COMMIT: there every
helper that was to be added is tried alone, in a netns where nobody is. What nobody is to blame for
after that is a race that was lost, or a family that takes nothing at all.
"""

import errno
from collections.abc import Collection, Sequence

from ctherd.dataplane.iptables.change import Line
from ctherd.dataplane.iptables.programs import Complaint, Programs
from ctherd.model.assignment import AssignmentKey, overlap
from ctherd.model.catalog import Family, Protocol
from ctherd.model.observation import Live
from ctherd.netns.enter import unshared
from ctherd.ports import Refusal


def clashes(target: Live, changed: Collection[AssignmentKey]) -> dict[AssignmentKey, Refusal]:
    """Return those of *changed* whose packets another assignment of *target* has already.

    iptables would take both, and obey the first in silence.
    """
    by_port: dict[tuple[Protocol, int], list[AssignmentKey]] = {}
    new = set(changed)
    for key in sorted(target, key=new.__contains__):
        by_port.setdefault((key.protocol, key.port), []).append(key)
    found: dict[AssignmentKey, Refusal] = {}
    for keys in by_port.values():
        for index, key in enumerate(keys):
            for first in keys[:index]:
                if first not in found and overlap(target[first], target[key]):
                    found[key] = Refusal(errno.EEXIST, f"{first} has these packets already")
    return found


def culprits(
    programs: Programs, family: Family, lines: Sequence[Line], complaint: Complaint
) -> dict[AssignmentKey, Refusal]:
    """Return the assignments that *family* refuses, with the words for each; {} for none."""
    named = {line.adds.key: refusal for line, refusal in complaint.lines if line.adds is not None}
    if named:
        return named
    added = [line.adds.key for line in lines if line.adds is not None]
    return _tried(programs, family, added)


def _tried(
    programs: Programs, family: Family, added: Sequence[AssignmentKey]
) -> dict[AssignmentKey, Refusal]:
    """Try each helper alone; return what is refused, {} if none is or all of several are."""
    kinds = dict.fromkeys((key.helper, key.protocol) for key in added)
    refused: dict[tuple[str, Protocol], Refusal] = {}
    with unshared() as netns_fd:
        for helper, protocol in kinds:
            refusal = programs.try_helper(netns_fd, family, helper, protocol)
            if refusal is not None:
                refused[helper, protocol] = refusal
    return {
        key: refused[key.helper, key.protocol]
        for key in added
        if (key.helper, key.protocol) in refused
    }
