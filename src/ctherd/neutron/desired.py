"""What the server's database says of a router, as a document; what cannot be meant is left out.

One helper that cannot be never harms another: it is refused, with a reason. Of two that exclude
each other the one that is in force stays, else the one with the lower id.
"""

from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple, Protocol

from ctherd.errors import CtherdError, InvalidDeclaration
from ctherd.model import catalog
from ctherd.model.assignment import Assignment, AssignmentId, AssignmentKey
from ctherd.model.document import Document, NetnsName, RouterId, document


class Row(Protocol):
    """One conntrack helper of Neutron's (neutron.objects.conntrack_helper)."""

    @property
    def id(self) -> str:
        """A UUID."""

    @property
    def router_id(self) -> str:
        """The router's UUID."""

    @property
    def protocol(self) -> str:
        """A name of an IP protocol, in any case."""

    @property
    def port(self) -> int:
        """The original destination port."""

    @property
    def helper(self) -> str:
        """The kernel's name of the helper, or ``h323``."""


class Desired(NamedTuple):
    """What a router shall have, and what of its rows is *refused*: id → reason."""

    document: Document
    refused: Mapping[str, str]


def desired(
    router: RouterId, netns: NetnsName, rows: Iterable[Row], in_force: Container[AssignmentKey]
) -> Desired:
    """Return what *rows* mean; what is *in_force* is preferred to what is new."""
    possible: list[Assignment] = []
    refused: dict[str, str] = {}
    for row in rows:
        try:
            possible.append(_assignment(row))
        except CtherdError as error:
            refused[str(row.id)] = f"{row.protocol}/{row.port} {row.helper}: {error}"
    possible.sort(key=lambda each: (each.key not in in_force, each.id))
    taken: dict[tuple[catalog.Protocol, int], Assignment] = {}
    for each in possible:
        other = taken.setdefault((each.protocol, each.port), each)
        if other is not each:
            place = f"{each.protocol}/{each.port}"
            refused[each.id] = f"{place} {each.helper}: {place} has helper {other.helper} already"
    chosen = sorted(taken.values(), key=lambda each: each.id)
    return Desired(document(router, netns, chosen), refused)


def _assignment(row: Row) -> Assignment:
    try:
        protocol = catalog.Protocol(str(row.protocol).lower())
        port = int(row.port)
    except ValueError as error:
        raise InvalidDeclaration(str(error)) from error
    return Assignment(AssignmentId(str(row.id)), str(row.helper), protocol, port)
