"""Assignments as lines of text, which is how the journal keeps them.

One line each: ``tcp 21 ftp``, or ``udp 5060 sip kill 203.0.113.0/24 2001:db8::/64``, where ``kill``
is what shall happen to its flows one day. A debt is ``detach tcp 21 ftp``. All of a router are one
value of one row: a row for each assignment took six times as long to write.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from sys import intern
from types import MappingProxyType
from typing import Final

from ctherd.model.assignment import AssignmentKey, Destinations, OnRevoke, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.debt import Action, Debt

OnRevokes = Mapping[AssignmentKey, OnRevoke]

_NOTHING_UNUSUAL: Final[OnRevokes] = MappingProxyType({})
_UNUSUAL: Final = {each.value: each for each in OnRevoke if each is not OnRevoke.DETACH}


def as_lines(
    assignments: Mapping[AssignmentKey, Destinations], on_revoke: OnRevokes = _NOTHING_UNUSUAL
) -> str:
    """Return one line for each assignment; "" for none."""
    if on_revoke:
        return "\n".join(
            _line(key, on_revoke.get(key, OnRevoke.DETACH), scope)
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


def _line(key: AssignmentKey, on_revoke: OnRevoke, scope: Destinations) -> str:
    unusual = () if on_revoke is OnRevoke.DETACH else (on_revoke,)
    return " ".join(map(str, (*key, *unusual, *scope)))


def from_lines(lines: str) -> tuple[dict[AssignmentKey, Destinations], OnRevokes]:
    """Return the assignments that *lines* hold, and which of them are not simply detached.

    Raises: ValueError or InvalidDeclaration for what ``as_lines`` cannot have written.
    """
    if not lines:
        return {}, _NOTHING_UNUSUAL
    managed: dict[AssignmentKey, Destinations] = {}
    unusual: dict[AssignmentKey, OnRevoke] = {}
    for line in lines.split("\n"):
        key, on_revoke, scope = _assignment(line)
        managed[key] = scope
        if on_revoke is not None:
            unusual[key] = on_revoke
    return managed, unusual


def _assignment(line: str) -> tuple[AssignmentKey, OnRevoke | None, Destinations]:
    protocol, port, helper, *rest = line.split(" ", 3)
    # A thousand routers share a dozen names.
    key = AssignmentKey(Protocol(protocol), int(port), intern(helper))
    word, _, scope = rest[0].partition(" ") if rest else ("", "", "")
    if word in _UNUSUAL:
        return key, _UNUSUAL[word], destinations(scope)
    return key, None, destinations(*rest)


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
    key, _, scope = _assignment(assignment)
    return Debt(Action(action), key, scope)


@lru_cache(maxsize=1024)
def destinations(text: str = "") -> Destinations:
    """Return the prefixes that *text* lists, separated by blanks."""
    return tuple(parse_prefix(each) for each in text.split())
