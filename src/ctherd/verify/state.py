"""Judges the kernel's state: an assignment must be there, take effect, and be unchallenged.

What is certainly wrong is a failure. Rules of others that *may* win, because nobody can tell from
their text which packets they are for, are doubts: a flow through the copy resolves them, and
without one they count as failures.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from ctherd.dataplane.finding import Finding, FindingKind
from ctherd.dataplane.iptables.variant import TABLE as RAW
from ctherd.dataplane.survey_rules import CONNTRACK, DESTINATION_NAT
from ctherd.model.assignment import AssignmentKey, Destinations, within
from ctherd.model.catalog import Family, Helper, by_name
from ctherd.verify.look import Seen
from ctherd.verify.target import Target

_NFT_FAMILY: Final = {"ip": Family.IPV4, "ip6": Family.IPV6}

NatMissing = Callable[[Helper], bool]


class Check(NamedTuple):
    """One thing that has to be so; *doubtful* if it only may not be so."""

    what: str
    holds: bool
    words: str
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """All checks of one assignment in one family."""

    checks: tuple[Check, ...]

    @property
    def failures(self) -> list[str]:
        """What is certainly wrong, in words."""
        return [each.words for each in self.checks if not each.holds and not each.doubtful]

    @property
    def soundness(self) -> str:
        """What is right, in words, where nothing is wrong."""
        hooks = " and ".join(each.words for each in self.checks if each.what == "hooks")
        said = [each.words for each in self.checks if each.what in ("assignment", "object")]
        return f"{', '.join(said)}, assigned at {hooks}, and nothing wins over it"

    @property
    def doubts(self) -> list[str]:
        """What may be wrong, in words."""
        return [each.words for each in self.checks if not each.holds and each.doubtful]


def judge(
    seen: Seen, target: Target, key: AssignmentKey, family: Family, nat_missing: NatMissing
) -> State:
    """Judge one assignment of *target* in one family."""
    if seen.place.problem:
        return State((Check("place", False, seen.place.problem),))
    return State(
        (
            _assigned(seen, target, key, family),
            _served(seen, key, family),
            *_hooked(seen, target),
            *_undamaged(seen),
            *_unchallenged(seen, target, key, family),
            *_room(seen),
            _translates(key, nat_missing),
        )
    )


def _assigned(seen: Seen, target: Target, key: AssignmentKey, family: Family) -> Check:
    live = seen.place.live.get(key)
    if live is None:
        return Check("assignment", False, f"{key} is not in the kernel")
    if _of(live, family) != _of(target.assignments[key], family):
        return Check("assignment", False, f"{key} is in the kernel with other destinations")
    return Check("assignment", True, f"{key} is in the kernel")


def _of(destinations: Destinations, family: Family) -> Destinations:
    return within(destinations, (family,))


def _served(seen: Seen, key: AssignmentKey, family: Family) -> Check:
    families = seen.place.families.get((key.helper, key.protocol), frozenset())
    what = f"helper {key.helper} on {key.protocol}"
    if family in families:
        return Check("object", True, f"its helper serves {family}")
    return Check("object", False, f"{what} does not serve {family} in this kernel")


def _hooked(seen: Seen, target: Target) -> Iterator[Check]:
    # The target CT of iptables leaves a note for conntrack, so it has to come before it.
    low, high = (CONNTRACK, DESTINATION_NAT) if target.variant is None else (-400, CONNTRACK)
    if not seen.place.hooks:
        yield Check("hooks", False, "no chain of ours is hooked")
    for chain, priority in seen.place.hooks.items():
        words = f"{chain} {priority}"
        if not low < priority < high:
            words = f"assigns at {words}, and conntrack is at {CONNTRACK}"
        yield Check("hooks", low < priority < high, words)


def _undamaged(seen: Seen) -> Iterator[Check]:
    for words in seen.place.damage:
        yield Check("as planned", False, words)


def _unchallenged(
    seen: Seen, target: Target, key: AssignmentKey, family: Family
) -> Iterator[Check]:
    for finding in seen.findings:
        if _NFT_FAMILY.get(finding.place.family, family) is not family:
            continue
        if _may_win(finding, target, key):
            yield Check("unchallenged", False, str(finding), doubtful=True)


def _may_win(finding: Finding, target: Target, key: AssignmentKey) -> bool:
    if finding.kind is FindingKind.UNREADABLE:
        return True
    if not finding.scope.may_match(key.protocol, key.port):
        return False
    if finding.kind is FindingKind.UNTRACKED:
        return True
    if finding.kind is not FindingKind.HELPER_FIRST or finding.helper == key.helper:
        return False
    # Nothing of nf_tables' own comes before our rules where they are in a raw table.
    return target.variant is None or finding.place.table == RAW


def _room(seen: Seen) -> Iterator[Check]:
    load, expected, limit = seen.load, seen.expected, seen.expectation_limit
    yield Check(
        "conntrack room",
        not load.limit or load.entries < load.limit,
        f"the conntrack table holds {load.entries} of {load.limit or '?'} flows",
    )
    yield Check(
        "expectation room",
        not limit or expected < limit,
        f"the expectation table holds {expected} of {limit or '?'}",
    )


def _translates(key: AssignmentKey, nat_missing: NatMissing) -> Check:
    helper = by_name(key.helper)
    if nat_missing(helper):
        words = f"{helper.nat_module} is not loaded: {key.helper} does not work through NAT"
        return Check("NAT", False, words)
    return Check("NAT", True, "its NAT half is there" if helper.nat_module else "needs no NAT half")
