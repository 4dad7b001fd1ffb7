"""Whether a change of the desired state removes unusually much, as a half-written file would."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ctherd.model.document import NetnsName
from ctherd.plan.diff import Desired, Managed

_SEVERAL: Final = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may go without being confirmed.

    Shape: *count* assignments, or *share* (0 to 1) of all managed ones if that is more.
    """

    count: int = 10
    share: float = 0.30


@dataclass(frozen=True, slots=True)
class Danger:
    """What is unusual about a change of the desired state.

    Shape: *removed* of *managed* assignments go; *emptied* routers lose all of theirs.
    """

    removed: int
    managed: int
    emptied: tuple[NetnsName, ...]

    def __str__(self) -> str:
        words = f"{self.removed} of {self.managed} assignments would be removed"
        if len(self.emptied) >= _SEVERAL:
            words += f", and {len(self.emptied)} routers would lose all of theirs"
        return words


def danger(
    desired: Mapping[NetnsName, Desired], managed: Mapping[NetnsName, Managed], limits: Limits
) -> Danger | None:
    """Return what is unusual about going from *managed* to *desired*, or None.

    Shape: a netns that is not in *desired* loses everything.
    """
    removed, emptied = 0, []
    for netns, had in managed.items():
        keeps = desired.get(netns, {})
        gone = sum(key not in keeps for key in had)
        removed += gone
        if had and gone == len(had) and not keeps:
            emptied.append(netns)
    total = sum(map(len, managed.values()))
    if removed > max(limits.count, limits.share * total) or len(emptied) >= _SEVERAL:
        return Danger(removed, total, tuple(emptied))
    return None
