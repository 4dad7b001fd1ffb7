"""The three-way truth table: desired × managed × live → change. The heart of ctherd.

====== ======= ================ =========================================================
desired managed live             change
====== ======= ================ =========================================================
yes    any     absent           CREATE (*lost*, if managed)
yes    yes     ours, equal      nothing
yes    no      ours, equal      ADOPT
yes    any     ours, different  REPLACE
yes    any     foreign          CONFLICT: report, do not touch
no     any     ours             DELETE, only when in sync
no     yes     absent, foreign  FORGET (and revoke what may still live in conntrack)
no     no      absent, foreign  leave
====== ======= ================ =========================================================

*Managed* beside *equal* means recorded as it is: the agent may have died between the record of a
replacement and its commit, and such a record is written again (ADOPT).
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import compress
from operator import is_not
from typing import NamedTuple

from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.observation import Live, Observation, Ownership

Managed = Mapping[AssignmentKey, Destinations]
Desired = Mapping[AssignmentKey, Destinations]


class Standing(StrEnum):
    """What the kernel holds where an assignment belongs."""

    ABSENT = "absent"
    EQUAL = "ours, equal"
    DIFFERENT = "ours, different"
    FOREIGN = "foreign"


class Verb(StrEnum):
    """What a change does."""

    CREATE = "create"
    ADOPT = "adopt"
    REPLACE = "replace"
    DELETE = "delete"
    FORGET = "forget"
    CONFLICT = "conflict"


class Change(NamedTuple):
    """One semantic change of one assignment.

    Shape: *before* is live (for FORGET: managed), *after* is desired; None where there is none;
    *lost* marks a CREATE of what we had made and somebody took away.
    """

    verb: Verb
    key: AssignmentKey
    before: Destinations | None = None
    after: Destinations | None = None
    lost: bool = False


def decide(*, desired: bool, managed: bool, standing: Standing, in_sync: bool) -> Verb | None:
    """Read one row of the table."""
    if desired:
        match standing:
            case Standing.ABSENT:
                return Verb.CREATE
            case Standing.EQUAL:
                return None if managed else Verb.ADOPT
            case Standing.DIFFERENT:
                return Verb.REPLACE
            case Standing.FOREIGN:
                return Verb.CONFLICT
    if standing in (Standing.EQUAL, Standing.DIFFERENT):
        return Verb.DELETE if in_sync else None
    # Not in sync, an absent desire may only be one that has not arrived: remember it.
    return Verb.FORGET if managed and in_sync else None


def diff(
    desired: Desired, managed: Managed, observed: Observation, *, in_sync: bool
) -> tuple[Change, ...]:
    """Return the changes that make *observed* equal to *desired*, in order of declaration.

    Unchanged assignments cost one identity comparison, in C: a router with a thousand of them is
    compared on every change of one. It costs less where *managed* and *live* are one mapping.
    """
    foreign = observed.ownership is Ownership.FOREIGN
    live: Live = {} if foreign else observed.live
    if not live and not managed and not foreign:
        # A new router: of the whole table only the first row can apply.
        create = Verb.CREATE
        return tuple([Change(create, key, None, after) for key, after in desired.items()])
    return (
        *_wanted(desired, managed, live, foreign=foreign, in_sync=in_sync),
        *_unwanted(desired, managed, live, foreign=foreign, in_sync=in_sync),
    )


def _wanted(
    desired: Desired, managed: Managed, live: Live, *, foreign: bool, in_sync: bool
) -> Iterator[Change]:
    for key, after in _to_look_at(desired, managed, live):
        before = live.get(key)
        recorded = managed.get(key) == after
        if before == after and recorded and not foreign:
            continue
        verb = decide(
            desired=True,
            managed=recorded,
            standing=_standing(before, after, foreign=foreign),
            in_sync=in_sync,
        )
        if verb is not None:
            lost = verb is Verb.CREATE and key in managed
            yield Change(verb, key, before, after, lost)


def _to_look_at(
    desired: Desired, managed: Managed, live: Live
) -> Iterator[tuple[AssignmentKey, Destinations]]:
    """Yield what of *desired* is not, by identity, live already."""
    if live is managed or live.items() <= managed.items():
        return compress(desired.items(), map(is_not, map(live.get, desired), desired.values()))
    return iter(desired.items())  # something is to be adopted, or was recorded and not made


def _unwanted(
    desired: Desired, managed: Managed, live: Live, *, foreign: bool, in_sync: bool
) -> Iterator[Change]:
    if live.keys() <= desired.keys() and (managed is live or managed.keys() <= desired.keys()):
        return
    unwanted = dict.fromkeys(key for key in live if key not in desired)
    unwanted.update(dict.fromkeys(key for key in managed if key not in desired))
    for key in unwanted:
        before = live.get(key)
        verb = decide(
            desired=False,
            managed=key in managed,
            standing=_standing(before, None, foreign=foreign),
            in_sync=in_sync,
        )
        if verb is not None:
            yield Change(verb, key, managed.get(key) if before is None else before)


def _standing(
    before: Destinations | None, after: Destinations | None, *, foreign: bool
) -> Standing:
    if foreign:
        return Standing.FOREIGN
    if before is None:
        return Standing.ABSENT
    return Standing.EQUAL if before == after else Standing.DIFFERENT
