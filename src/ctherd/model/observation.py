"""What the kernel says now of one network namespace."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, NewType

from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.catalog import Family, Protocol
from ctherd.model.document import NetnsName

Tag = NewType("Tag", str)
"""What this agent drew at random and recorded before it marked anything with it.

Shape: a UUID, then a dot and 20 hex digits, by which a place is named that needs a name of its own.
Records from before that have the UUID alone.
"""

Live = Mapping[AssignmentKey, Destinations]


class Ownership(StrEnum):
    """Whose the place is in which our assignments live (a table, or chains)."""

    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "foreign"


class Observation(NamedTuple):
    """The live state of one netns, consistent at *generation*.

    Shape: *live* holds what works in the kernel as an assignment, wherever it came from;
    *damage* names, in words, everything else inside our place that is missing or not planned;
    *guarded* is true while the kernel lets nobody but us change it; *holder* says, for FOREIGN,
    who has the place, and *mark* which mark it bears, "" if none that could be of a ctherd;
    *families* tells for which families the kernel made the helpers that were seen so far, here or
    elsewhere.
    """

    netns: NetnsName
    generation: int
    ownership: Ownership
    live: Live = MappingProxyType({})
    damage: tuple[str, ...] = ()
    guarded: bool = False
    holder: str = ""
    mark: str = ""
    families: Mapping[tuple[str, Protocol], frozenset[Family]] = MappingProxyType({})


class Unchanged(NamedTuple):
    """What was last observed or committed in that netns is still true, at *generation*."""

    netns: NetnsName
    generation: int
