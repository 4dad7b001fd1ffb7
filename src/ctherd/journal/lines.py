"""Assignments as lines of text, which is how the journal keeps them.

One line each: ``tcp 21 ftp``, or ``udp 5060 sip kill adopt 203.0.113.0/24 2001:db8::/64``, where
``kill`` is what shall happen to its flows one day, and ``adopt`` that it was asked to reach those
that were open. A debt is ``detach tcp 21 ftp``. All of a router are one value of one row: a row for
each assignment took six times as long to write.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from sys import intern
from types import MappingProxyType
from typing import Final, NamedTuple

from ctherd.model.assignment import AssignmentKey, Destinations, OnRevoke, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.debt import Action, Debt

OnRevokes = Mapping[AssignmentKey, OnRevoke]

_NOTHING_UNUSUAL: Final[OnRevokes] = MappingProxyType({})
_UNUSUAL: Final = {each.value: each for each in OnRevoke if each is not OnRevoke.DETACH}
_ADOPT: Final = "adopt"


class Lines(NamedTuple):
    """What lines hold: assignments, which are not simply detached, which adopt."""

    assignments: dict[AssignmentKey, Destinations]
    on_revoke: OnRevokes = _NOTHING_UNUSUAL
    adopting: frozenset[AssignmentKey] = frozenset()


def as_lines(
    assignments: Mapping[AssignmentKey, Destinations],
    on_revoke: OnRevokes = _NOTHING_UNUSUAL,
    adopting: Collection[AssignmentKey] = (),
) -> str:
    """Return one line for each assignment; "" for none."""
    if on_revoke or adopting:
        return "\n".join(
            _line(key, on_revoke.get(key, OnRevoke.DETACH), key in adopting, scope)
            for key, scope in assignments.items()
        )
    return "\n".join(
        [
            f"{protocol} {port} {helper} {' '.join(map(str, scope))}"
            if scope
            else f"{protocol} {port} {helper}"
            for (protocol, port, helper), scope in assignments.items()
        ]
    )


def _line(key: AssignmentKey, on_revoke: OnRevoke, adopts: bool, scope: Destinations) -> str:
    unusual = () if on_revoke is OnRevoke.DETACH else (on_revoke,)
    adopt = (_ADOPT,) if adopts else ()
    return " ".join(map(str, (*key, *unusual, *adopt, *scope)))


def from_lines(lines: str) -> Lines:
    """Return what *lines* hold.

    Raises: ValueError or InvalidDeclaration for what ``as_lines`` cannot have written.
    """
    if not lines:
        return Lines({})
    managed: dict[AssignmentKey, Destinations] = {}
    unusual: dict[AssignmentKey, OnRevoke] = {}
    adopting: set[AssignmentKey] = set()
    for line in lines.split("\n"):
        key, on_revoke, adopts, scope = _assignment(line)
        managed[key] = scope
        if on_revoke is not None:
            unusual[key] = on_revoke
        if adopts:
            adopting.add(key)
    return Lines(managed, unusual, frozenset(adopting))


@lru_cache(maxsize=4096)
def _assignment(line: str) -> tuple[AssignmentKey, OnRevoke | None, bool, Destinations]:
    # A thousand routers share a dozen lines, and their names with all others.
    protocol, port, helper, *rest = line.split(" ", 3)
    key = AssignmentKey(Protocol(protocol), int(port), intern(helper))
    if not rest:
        return key, None, False, destinations()
    scope = rest[0]
    word, _, more = scope.partition(" ")
    on_revoke = _UNUSUAL.get(word)
    if on_revoke is not None:
        scope = more
        word, _, more = scope.partition(" ")
    adopts = word == _ADOPT
    return key, on_revoke, adopts, destinations(more if adopts else scope)


def debts_as_lines(debts: Iterable[Debt]) -> str:
    """Return one line for each debt; "" for none."""
    return "\n".join(f"{debt.action} {as_lines({debt.key: debt.destinations})}" for debt in debts)


def debts_from_lines(lines: str) -> tuple[Debt, ...]:
    """Return the debts that *lines* hold.

    Raises: ValueError or InvalidDeclaration for what ``debts_as_lines`` cannot have written.
    """
    return tuple(map(_debt, lines.split("\n"))) if lines else ()


def _debt(line: str) -> Debt:
    action, _, assignment = line.partition(" ")
    key, _, _, scope = _assignment(assignment)
    return Debt(Action(action), key, scope)


@lru_cache(maxsize=1024)
def destinations(text: str = "") -> Destinations:
    """Return the prefixes that *text* lists, separated by blanks."""
    return tuple(parse_prefix(each) for each in text.split())
