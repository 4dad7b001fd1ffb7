"""Assignments as lines of text, which is how the journal keeps them.

One line each: ``tcp 21 ftp``, or ``udp 5060 sip 203.0.113.0/24 2001:db8::/64``. All of a router are
one value of one row: a row for each assignment took six times as long to write.
"""

from collections.abc import Mapping
from functools import lru_cache
from sys import intern

from ctherd.model.assignment import AssignmentKey, Destinations, parse_prefix
from ctherd.model.catalog import Protocol


def as_lines(assignments: Mapping[AssignmentKey, Destinations]) -> str:
    """Return one line for each assignment; "" for none."""
    return "\n".join(
        [
            f"{protocol} {port} {helper} {' '.join(map(str, scope))}"
            if scope
            else f"{protocol} {port} {helper}"
            for (protocol, port, helper), scope in assignments.items()
        ]
    )


def from_lines(lines: str) -> dict[AssignmentKey, Destinations]:
    """Return the assignments that *lines* hold.

    Raises: ValueError or InvalidDeclaration for what ``as_lines`` cannot have written.
    """
    return dict(map(_assignment, lines.split("\n"))) if lines else {}


def _assignment(line: str) -> tuple[AssignmentKey, Destinations]:
    protocol, port, helper, *scope = line.split(" ", 3)
    # A thousand routers share a dozen names.
    key = AssignmentKey(Protocol(protocol), int(port), intern(helper))
    return key, destinations(*scope)


@lru_cache(maxsize=1024)
def destinations(text: str = "") -> Destinations:
    """Return the prefixes that *text* lists, separated by blanks."""
    return tuple(parse_prefix(each) for each in text.split())
