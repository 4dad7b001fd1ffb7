"""A document: the whole desired state of one router, the unit of storing, watching and planning."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NewType

from ctherd.errors import InvalidDeclaration
from ctherd.model.assignment import (
    Assignment,
    AssignmentId,
    AssignmentKey,
    Destinations,
    OnRevoke,
    overlap,
)
from ctherd.model.catalog import Protocol

RouterId = NewType("RouterId", str)
NetnsName = NewType("NetnsName", str)

# A member of an enumeration is looked up by a call of Python: too slow for each of a thousand.
_USUALLY: Final = OnRevoke.DETACH

HOST = NetnsName("host")
"""The name that stands for the namespace in which ctherd itself runs."""


@dataclass(frozen=True, slots=True)
class Document:
    """Everything that one router shall have, and nothing else; empty means: no helper at all.

    Shape: *netns* is one name in the netns directory, or HOST; *assignments* keeps the order of
    declaration; *desired* is the same state as the planner compares it; *on_revoke* has what is not
    simply detached, *adopting* what shall reach connections that are open already.
    Raises: InvalidDeclaration, on construction, if two assignments exclude each other.
    """

    router: RouterId
    netns: NetnsName
    assignments: Mapping[AssignmentId, Assignment]
    desired: Mapping[AssignmentKey, Destinations] = field(init=False, compare=False)
    on_revoke: Mapping[AssignmentKey, OnRevoke] = field(init=False, compare=False)
    adopting: frozenset[AssignmentKey] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        refuse_overlaps(self.assignments.values())
        object.__setattr__(self, "assignments", MappingProxyType(dict(self.assignments)))
        # No proxy around it: the planner looks into it thousands of times, and only a Mapping is
        # promised.
        desired = {each.key: each.destinations for each in self.assignments.values()}
        object.__setattr__(self, "desired", desired)
        # One pass over all for what hardly any has.
        unusual = [
            each
            for each in self.assignments.values()
            if each.on_revoke is not _USUALLY or each.adopt_flows
        ]
        ends = {each.key: each.on_revoke for each in unusual if each.on_revoke is not _USUALLY}
        object.__setattr__(self, "on_revoke", ends)
        object.__setattr__(self, "adopting", frozenset(e.key for e in unusual if e.adopt_flows))


def document(router: str, netns: str, assignments: Iterable[Assignment]) -> Document:
    """Build the document of *router* from its assignments in order of declaration.

    Raises: InvalidDeclaration if an id occurs twice or two assignments exclude each other.
    """
    given = tuple(assignments)
    by_id = {each.id: each for each in given}
    if len(by_id) < len(given):
        ((twice, _),) = Counter(each.id for each in given).most_common(1)
        raise InvalidDeclaration(f"{by_id[twice].key} is declared twice", where=router)
    return Document(RouterId(router), NetnsName(netns), by_id)


def refuse_overlaps(assignments: Collection[Assignment]) -> None:
    """Check that no packet could be claimed by two assignments.

    Raises: InvalidDeclaration that names both.
    """
    # Nearly always no two share a port, at least not of one protocol, whatever their destinations.
    if len({each.port for each in assignments}) == len(assignments):
        return
    if len({(each.protocol, each.port) for each in assignments}) == len(assignments):
        return
    seen: dict[tuple[Protocol, int], list[Assignment]] = {}
    for one in assignments:
        for other in seen.setdefault((one.protocol, one.port), []):
            _refuse_pair(other, one)
        seen[one.protocol, one.port].append(one)


def _refuse_pair(first: Assignment, second: Assignment) -> None:
    if first.key == second.key:
        raise InvalidDeclaration(
            f"{second.protocol}/{second.port} is given helper {second.helper} twice",
            cure="keep one of them, with all destinations",
        )
    if overlap(first.destinations, second.destinations):
        raise InvalidDeclaration(
            f"{second.protocol}/{second.port} is given helper {second.helper}, but {first.helper} "
            "has it already and their destinations overlap: only one could ever work",
            cure="remove one, or give both destinations that do not overlap",
        )
