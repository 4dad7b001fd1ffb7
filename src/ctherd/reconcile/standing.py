"""What is known of a netns, as the status of each of its assignments."""

from collections.abc import Callable, Iterator

from ctherd.errors import NetnsAbsent
from ctherd.model.assignment import Assignment, families_of
from ctherd.model.catalog import Family, Helper, by_name
from ctherd.model.observation import Ownership
from ctherd.model.status import AssignmentStatus, State, Verdict
from ctherd.reconcile.entry import Entry

NatMissing = Callable[[Helper], bool]
"""Tells whether the module that translates addresses for a helper is missing in this kernel."""


def statuses(entry: Entry, nat_missing: NatMissing) -> Iterator[AssignmentStatus]:
    """Yield the status of every declared assignment, in order of declaration."""
    if entry.document is None:
        return
    for assignment in entry.document.assignments.values():
        helper = by_name(assignment.key.helper)
        verdicts = {
            family: _verdict(entry, assignment, family, nat_missing)
            for family in families_of(assignment.key, assignment.destinations)
        }
        remarks = [helper.remark] if helper.remark else []
        if helper.families == (Family.IPV4,):
            remarks.insert(0, "IPv4 only: the kernel's helper knows no IPv6")
        yield AssignmentStatus(
            assignment.key, assignment.destinations, verdicts, "; ".join(remarks)
        )


def _verdict(
    entry: Entry, assignment: Assignment, family: Family, nat_missing: NatMissing
) -> Verdict:
    key = assignment.key
    denial = entry.denials.get(assignment.id)
    if denial is not None:
        return Verdict(State.DENIED, f"{denial.rule}: {denial.reason}")
    if isinstance(entry.error, NetnsAbsent):
        return Verdict(State.PENDING, entry.error.what)
    if entry.error is not None:
        return Verdict(State.ERROR, str(entry.error))
    if key in entry.refused:
        return Verdict(State.ERROR, f"the kernel refuses: {entry.refused[key].words}")
    if family in entry.refused_in.get(key, ()):
        return Verdict(State.ERROR, f"refused: {entry.refused_in[key][family].words}")
    if entry.observed is None:
        return Verdict(State.PENDING, "not looked at yet")
    if entry.observed.ownership is Ownership.FOREIGN:
        return Verdict(State.CONFLICT, entry.observed.holder)
    if entry.observed.live.get(key) != entry.desired.get(key):
        return Verdict(State.PENDING, "not in the kernel yet")
    made = entry.observed.families.get((key.helper, key.protocol))
    if made is not None and family not in made:
        return Verdict(State.ERROR, f"this kernel's {key.helper} helper does not serve {family}")
    helper = by_name(key.helper)
    if nat_missing(helper):
        return Verdict(
            State.PARTIAL,
            f"{helper.nat_module} is not loaded: does not work through NAT "
            f"(modprobe {helper.nat_module})",
        )
    return Verdict(State.ACTIVE)
