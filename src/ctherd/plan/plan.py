"""A plan: everything that would change on one router, as data."""

from collections.abc import Iterable
from typing import NamedTuple

from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Observation, Ownership
from ctherd.plan.diff import Change, Desired, Managed, Verb, diff

# Verbs that a dataplane has to carry out; the others concern only the journal or the reader.
KERNEL_VERBS = frozenset((Verb.CREATE, Verb.REPLACE, Verb.DELETE))


class Plan(NamedTuple):
    """What has to happen so that one netns is as its router's document says.

    Shape: *repairs* names, in words, the damage that the commit heals besides; *claim* means that
    the kernel shall guard our place from now on; *holder* says who has the place if the changes
    are conflicts.
    """

    router: RouterId
    netns: NetnsName
    changes: tuple[Change, ...] = ()
    repairs: tuple[str, ...] = ()
    claim: bool = False
    holder: str = ""

    @property
    def empty(self) -> bool:
        """True if nothing has to happen."""
        return not (self.changes or self.repairs or self.claim)

    @property
    def kernel_changes(self) -> tuple[Change, ...]:
        """The changes that a dataplane has to carry out."""
        return tuple([change for change in self.changes if change.verb in KERNEL_VERBS])

    @property
    def touches_kernel(self) -> bool:
        """True if carrying the plan out needs a commit."""
        return bool(self.repairs or self.claim) or any(
            change.verb in KERNEL_VERBS for change in self.changes
        )

    @property
    def conflicts(self) -> tuple[Change, ...]:
        """The desired assignments whose place somebody else has."""
        return tuple(change for change in self.changes if change.verb is Verb.CONFLICT)


def make_plan(
    router: RouterId,
    desired: Desired,
    managed: Managed,
    observed: Observation,
    *,
    in_sync: bool,
    guard_place: bool,
) -> Plan:
    """Plan one netns.

    Shape: *desired* is what the agent's own policy left over and the kernel has not refused;
    *guard_place* asks for the kernel's protection, where a place exists or will.
    """
    changes = diff(desired, managed, observed, in_sync=in_sync)
    ours = observed.ownership is Ownership.OURS
    # Not in sync, an empty desire may only be one that has not arrived: keep the place.
    nothing_left = not desired and in_sync
    if ours and nothing_left and not observed.live:
        # An empty set leaves no place at all: conntrack is not switched on for nothing.
        repairs: tuple[str, ...] = ("remove our empty place",)
    else:
        repairs = observed.damage if ours else ()
    return Plan(
        router,
        observed.netns,
        changes,
        repairs,
        claim=ours and guard_place and not observed.guarded and not nothing_left,
        holder=observed.holder,
    )


def removals(plans: Iterable[Plan]) -> int:
    """Count the assignments that *plans* take from the kernel."""
    return sum(change.verb is Verb.DELETE for plan in plans for change in plan.changes)
