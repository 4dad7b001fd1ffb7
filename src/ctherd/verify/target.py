"""What is to be verified, as whoever knows the router's assignments tells it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ctherd.dataplane.iptables.names import chain_of
from ctherd.dataplane.iptables.variant import Variant
from ctherd.errors import RemoteProtocolError
from ctherd.model.assignment import AssignmentKey, Destinations, collapse, families_of, parse_prefix
from ctherd.model.catalog import Family, Protocol
from ctherd.model.document import NetnsName
from ctherd.model.observation import Tag
from ctherd.model.safe_scope import WIDE, AntiSpoofing, SafeScope

_NFTABLES = "nftables"


class Question(NamedTuple):
    """What is to be proven: one assignment in one family."""

    key: AssignmentKey
    family: Family
    destinations: Destinations


@dataclass(frozen=True, slots=True)
class Target:
    """One router.

    Shape: *tag* is our mark in its netns, None if we never marked anything; *variant* is the
    iptables that makes its assignments true, None for nftables; *scope* is what narrows helpers.
    """

    router: str
    netns: NetnsName
    tag: Tag | None
    variant: Variant | None = None
    scope: SafeScope = WIDE
    assignments: Mapping[AssignmentKey, Destinations] = field(default_factory=dict)

    @property
    def our_chain(self) -> str:
        """The name of our chain, "" where there is none."""
        return "" if self.tag is None else chain_of(self.tag)

    def questions(self) -> Iterator[Question]:
        """Yield what is to be proven: every assignment, in every family that it can serve."""
        for key, destinations in self.assignments.items():
            for family in families_of(key, destinations):
                yield Question(key, family, destinations)


def read_targets(given: Mapping[str, Any]) -> list[Target]:
    """Return the targets that the answer *given* names.

    Raises: RemoteProtocolError for what nobody who knows this version can have said.
    """
    try:
        name, scope = given["dataplane"], _scope(given["scope"])
        variant = None if name == _NFTABLES else Variant(name)
        return [_target(each, variant, scope) for each in given["routers"]]
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteProtocolError(
            f"what is to be verified is not understood: {error!r}",
            cure="restart the agent: it is of another version",
        ) from error


def _scope(given: Mapping[str, Any]) -> SafeScope:
    return SafeScope(
        related=bool(given["related"]),
        lowest_ports=dict(given["lowest_ports"]),
        anti_spoofing=AntiSpoofing(given["anti_spoofing"]),
        not_from=tuple(given["not_from"]),
    )


def _target(given: Mapping[str, Any], variant: Variant | None, scope: SafeScope) -> Target:
    return Target(
        str(given["router"]),
        NetnsName(given["netns"]),
        None if given["tag"] is None else Tag(given["tag"]),
        variant,
        scope,
        {
            AssignmentKey(Protocol(each["protocol"]), int(each["port"]), str(each["helper"])): (
                collapse(map(parse_prefix, each["destinations"]))
            )
            for each in given["assignments"]
        },
    )
