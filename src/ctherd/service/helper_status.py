"""How a declared helper fares, as the API tells it: summed up, and for each host and family."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ctherd.model.assignment import AssignmentId
from ctherd.model.catalog import Family
from ctherd.model.document import RouterId
from ctherd.model.router import HostName, Router
from ctherd.model.status import State


@dataclass(frozen=True, slots=True)
class FamilyStatus:
    """One family on one host; *since* is RFC 3339, UTC, "" where nobody can know.

    Shape: *verified_at* is when `ctherd verify` proved it there, "" if it did not, or if what it
    proved has changed; *verified_by* how much it did: state, partial or probe.
    """

    host: HostName
    family: Family
    state: State
    reason: str = ""
    since: str = ""
    verified_at: str = ""
    verified_by: str = ""


@dataclass(frozen=True, slots=True)
class HelperStatus:
    """All hosts and families of one helper, and what they come to."""

    state: State
    reason: str = ""
    details: tuple[FamilyStatus, ...] = ()


class Board(Protocol):
    """Where the reports of all agents come together."""

    def of(self, router: Router) -> Mapping[AssignmentId, HelperStatus]:
        """Return how every helper of *router* fares."""

    async def settled(self, router: RouterId, serial: int, timeout_s: float) -> bool:
        """Wait until every host of *router* has reported on *serial* or later; tell whether."""
