"""How an assignment is spelled wherever it is signed: in documents, and in the server's records.

What is as it usually is has no member of its own, so that what was signed before there was a choice
is spelled today as it was then. A member that a reader does not know means nothing to it: only what
may be overlooked without harm can be added here. What must not be overlooked takes another *kind*
of statement, which who does not know it refuses.
"""

from collections.abc import Mapping
from typing import Any

from ctherd.model.assignment import Assignment, AssignmentId, OnRevoke, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.signing.canonical import Plain


def spell_assignment(assignment: Assignment) -> Plain:
    """Return *assignment* as it is signed."""
    plain: Plain = {
        "id": assignment.id,
        "helper": assignment.helper,
        "protocol": assignment.protocol.value,
        "port": assignment.port,
        "destinations": [str(prefix) for prefix in assignment.destinations],
    }
    if assignment.on_revoke is not OnRevoke.DETACH:
        plain["on_revoke"] = assignment.on_revoke.value
    if assignment.adopt_flows:
        plain["adopt_flows"] = True
    return plain


def read_assignment(plain: Mapping[str, Any]) -> Assignment:
    """Return the assignment that *plain* spells.

    Raises: KeyError, TypeError, ValueError or InvalidDeclaration for what is none.
    """
    return Assignment(
        AssignmentId(text(plain["id"])),
        text(plain["helper"]),
        Protocol(plain["protocol"]),
        whole(plain["port"]),
        tuple(parse_prefix(text(prefix)) for prefix in plain["destinations"]),
        OnRevoke(plain.get("on_revoke", OnRevoke.DETACH)),
        _flag(plain.get("adopt_flows", False)),
    )


def text(given: Any) -> str:
    """Return *given*, which is a string.

    Raises: TypeError.
    """
    if not isinstance(given, str):
        raise TypeError(f"{given!r} is not a string")
    return given


def whole(given: Any) -> int:
    """Return *given*, which is a whole number.

    Raises: TypeError.
    """
    if type(given) is not int:
        raise TypeError(f"{given!r} is not a whole number")
    return given


def _flag(given: Any) -> bool:
    if not isinstance(given, bool):
        raise TypeError(f"{given!r} is neither true nor false")
    return given
