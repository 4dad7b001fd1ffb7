"""How much an assignment risks, as a short score with its reasons: a sum that anybody can check.

====================================================================== ======
what                                                                   points
====================================================================== ======
the helper's own risk, as the catalog has it: low, medium, high        1 3 5
any destination; or a prefix shorter than /16 (IPv4), /32 (IPv6)       3, 2
both families                                                          1
the host itself is the router                                          1
what the helper lets in is not narrowed (scope.related)                1
whoever spoofs an address gets the helper (neither anti_spoofing nor
not_from)                                                              1
====================================================================== ======

0 to 3 is low, 4 to 6 medium, 7 and more high; 12 is the most.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from ctherd.model.assignment import AssignmentKey, Destinations, families_of
from ctherd.model.catalog import BOTH, TLS_PORTS, Risk, by_name
from ctherd.model.document import HOST, NetnsName
from ctherd.model.safe_scope import SafeScope

_OF_HELPER: Final = {Risk.LOW: 1, Risk.MEDIUM: 3, Risk.HIGH: 5}
_MEDIUM_FROM: Final = 4
_HIGH_FROM: Final = 7
_BROAD: Final = {4: 16, 6: 32}


class Reason(NamedTuple):
    """Some points, and what for."""

    points: int
    words: str


class Score(NamedTuple):
    """What an assignment risks. Shape: *reasons* in the order of the table above."""

    points: int
    level: Risk
    reasons: tuple[Reason, ...]


def score(
    netns: NetnsName, key: AssignmentKey, destinations: Destinations, scope: SafeScope
) -> Score:
    """Return what *key* risks in *netns*, where *scope* narrows helpers."""
    reasons = tuple(_reasons(netns, key, destinations, scope))
    points = sum(each.points for each in reasons)
    return Score(points, _level(points), reasons)


def warnings(key: AssignmentKey, destinations: Destinations) -> Iterator[str]:
    """Yield what is questionable about an assignment, whatever else is so."""
    encrypted = TLS_PORTS.get(key.port)
    if encrypted is not None:
        yield f"{key}: port {key.port} is {encrypted}, which no helper can read"
    if by_name(key.helper).risk is Risk.HIGH and not _bounded(destinations):
        yield f"{key}: a helper of high risk serves any destination; name the servers it is for"


def _level(points: int) -> Risk:
    if points < _MEDIUM_FROM:
        return Risk.LOW
    return Risk.MEDIUM if points < _HIGH_FROM else Risk.HIGH


def _reasons(
    netns: NetnsName, key: AssignmentKey, destinations: Destinations, scope: SafeScope
) -> Iterator[Reason]:
    helper = by_name(key.helper)
    yield Reason(_OF_HELPER[helper.risk], f"{helper.name} is a helper of {helper.risk} risk")
    if not _bounded(destinations):
        yield Reason(3, "any destination")
    elif any(prefix.prefixlen < _BROAD[prefix.version] for prefix in destinations):
        yield Reason(2, "a broad prefix of destinations")
    if families_of(key, destinations) == BOTH:
        yield Reason(1, "both families")
    if netns == HOST:
        yield Reason(1, "the host itself is the router")
    if not scope.related:
        yield Reason(1, "what it lets in is not narrowed")
    if not scope.narrows_assignment:
        yield Reason(1, "spoofed packets get it as well")


def _bounded(destinations: Destinations) -> bool:
    return bool(destinations) and all(prefix.prefixlen for prefix in destinations)
