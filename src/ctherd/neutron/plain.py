"""What passes the privilege boundary, as msgpack has it: text, numbers, tuples, and nothing else.

The privileged side believes nothing: what cannot be meant raises ValueError or InvalidDeclaration
before anything is done. Assignments of a router are one text, as in the journal, because most of
what passes is that.
"""

import errno
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ctherd import errors
from ctherd.errors import CtherdError, DataplaneError
from ctherd.journal.lines import (
    as_lines,
    debts_as_lines,
    debts_from_lines,
    destinations,
    from_lines,
)
from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.catalog import Family, Protocol, resolve
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation, Ownership, Tag, Unchanged
from ctherd.plan.diff import Change, Verb
from ctherd.ports import (
    Committed,
    Moved,
    Observed,
    ObserveRequest,
    Outcome,
    Refusal,
    Revocation,
    Revoked,
    Settled,
    Transaction,
)

Plain = Any
"""Text, numbers, booleans, None, and tuples or lists of them."""

_ROUTER: Final = re.compile(r"(?:qrouter|snat)-[0-9A-Za-z][0-9A-Za-z@._-]{0,100}")
_TAG: Final = re.compile(r"[0-9a-f.-]{1,80}")
_CLASSES: Final = {
    each.__name__: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, CtherdError)
}

_Families = Mapping[tuple[str, Protocol], frozenset[Family]]


# -- towards the privileged side -------------------------------------------------------------------


def is_router(name: str) -> bool:
    """Tell whether *name* is that of a router's netns, as Neutron names them."""
    return _ROUTER.fullmatch(name) is not None


def netns_from_plain(name: Plain) -> NetnsName:
    """Return the netns of a router; no other may be reached from outside.

    Raises: ValueError.
    """
    if not isinstance(name, str) or not is_router(name):
        raise ValueError(f"{name!r} is not the network namespace of a router")
    return NetnsName(name)


def names_from_plain(names: Iterable[Plain]) -> list[NetnsName]:
    """Return the netns of routers."""
    return [netns_from_plain(each) for each in names]


def request_to_plain(request: ObserveRequest) -> Plain:
    """Return a request as a tuple."""
    return tuple(request)


def request_from_plain(given: Plain) -> ObserveRequest:
    """Return the request that a tuple means."""
    netns, tag, known_generation = given
    known = None if known_generation is None else int(known_generation)
    return ObserveRequest(netns_from_plain(netns), tag_from_plain(tag), known)


def transaction_to_plain(transaction: Transaction) -> Plain:
    """Return a transaction as a tuple."""
    netns, tag, generation, changes, repair, claim = transaction
    return netns, tag, generation, [_change_to_plain(each) for each in changes], repair, claim


def transaction_from_plain(given: Plain) -> Transaction:
    """Return the transaction that a tuple means."""
    netns, tag, generation, changes, repair, claim = given
    return Transaction(
        netns_from_plain(netns),
        _tag(tag),
        int(generation),
        tuple(_change_from_plain(each) for each in changes),
        repair=bool(repair),
        claim=bool(claim),
    )


def revocation_to_plain(revocation: Revocation) -> Plain:
    """Return a revocation as a tuple."""
    netns, cookie, tag, owed, live = revocation
    return netns, cookie, tag, debts_as_lines(owed), as_lines(live)


def revocation_from_plain(given: Plain) -> Revocation:
    """Return the revocation that a tuple means."""
    netns, cookie, tag, owed, live = given
    return Revocation(
        netns_from_plain(netns),
        int(cookie),
        tag_from_plain(tag),
        debts_from_lines(owed),
        from_lines(live)[0],
    )


def tag_from_plain(given: Plain) -> Tag | None:
    """Return the mark that is meant, or None.

    Raises: ValueError.
    """
    return None if given is None else _tag(given)


def _tag(given: Plain) -> Tag:
    if not isinstance(given, str) or _TAG.fullmatch(given) is None:
        raise ValueError(f"{given!r} is not a mark")
    return Tag(given)


def _change_to_plain(change: Change) -> Plain:
    verb, key, before, after, lost = change
    return (str(verb), *_key_to_plain(key), _scope_to_plain(before), _scope_to_plain(after), lost)


def _change_from_plain(given: Plain) -> Change:
    verb, protocol, port, helper, before, after, lost = given
    key = checked_key(protocol, port, helper)
    scopes = _scope_from_plain(before), _scope_from_plain(after)
    return Change(Verb(verb), key, *scopes, bool(lost))


def _key_to_plain(key: AssignmentKey) -> tuple[str, int, str]:
    return str(key.protocol), key.port, key.helper


def checked_key(protocol: Plain, port: Plain, helper: Plain) -> AssignmentKey:
    """Return the key of an assignment, which the catalog must know.

    Raises: ValueError; InvalidDeclaration.
    """
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise ValueError(f"{port!r} is not a port")
    spoken = Protocol(protocol)
    return AssignmentKey(spoken, port, resolve(helper, spoken).name)


def _scope_to_plain(scope: Destinations | None) -> str | None:
    return None if scope is None else " ".join(map(str, scope))


def _scope_from_plain(text: str | None) -> Destinations | None:
    return None if text is None else destinations(text)


# -- and back --------------------------------------------------------------------------------------


def error_to_plain(error: CtherdError) -> Plain:
    """Return an error as a tuple."""
    kind = next(each.__name__ for each in type(error).__mro__ if each.__name__ in _CLASSES)
    kernel = (error.operation, error.errno, error.words) if kind == DataplaneError.__name__ else ()  # type: ignore[attr-defined]
    return "error", kind, error.what, error.where, error.cure, *kernel


def error_from_plain(given: Plain) -> CtherdError:
    """Return the error that a tuple means."""
    _, kind, what, where, cure, *kernel = given
    if kernel:
        operation, number, words = kernel
        return DataplaneError(operation, netns=where, errno=number, words=words, cure=cure)
    return _CLASSES[kind](what, where=where, cure=cure)


def identity_to_plain(found: int | CtherdError) -> Plain:
    """Return a cookie, or an error as a tuple."""
    return found if isinstance(found, int) else error_to_plain(found)


def identity_from_plain(given: Plain) -> int | CtherdError:
    """Return the cookie or error that is meant."""
    return given if isinstance(given, int) else error_from_plain(given)


def observed_to_plain(observed: Observed) -> Plain:
    """Return what was observed as a tuple that says first what it is."""
    if isinstance(observed, CtherdError):
        return error_to_plain(observed)
    if isinstance(observed, Unchanged):
        return ("unchanged", *observed)
    netns, generation, ownership, live, damage, guarded, holder, mark, families = observed
    return (
        "observation",
        netns,
        generation,
        str(ownership),
        as_lines(live),
        damage,
        guarded,
        holder,
        mark,
        _families_to_plain(families),
    )


def observed_from_plain(given: Plain) -> Observed:
    """Return what such a tuple means."""
    match given[0]:
        case "error":
            return error_from_plain(given)
        case "unchanged":
            return Unchanged(*given[1:])
    _, netns, generation, ownership, live, damage, guarded, holder, mark, families = given
    return Observation(
        netns,
        generation,
        Ownership(ownership),
        from_lines(live)[0],
        tuple(damage),
        guarded,
        holder,
        mark,
        _families_from_plain(families),
    )


def outcome_to_plain(outcome: Outcome) -> Plain:
    """Return what became of a transaction as a tuple that says first what it is."""
    if isinstance(outcome, CtherdError):
        return error_to_plain(outcome)
    if isinstance(outcome, Moved):
        return "moved", outcome.netns
    netns, generation, guarded, refused, families, refused_in = outcome
    return (
        "committed",
        netns,
        generation,
        guarded,
        [(*_key_to_plain(key), *_refusal(each)) for key, each in refused.items()],
        _families_to_plain(families),
        [
            (*_key_to_plain(key), str(family), *_refusal(each))
            for key, by_family in refused_in.items()
            for family, each in by_family.items()
        ],
    )


def outcome_from_plain(given: Plain) -> Outcome:
    """Return what such a tuple means."""
    match given[0]:
        case "error":
            return error_from_plain(given)
        case "moved":
            return Moved(given[1])
    _, netns, generation, guarded, refused, families, refused_in = given
    by_family: dict[AssignmentKey, dict[Family, Refusal]] = {}
    for protocol, port, helper, family, number, words in refused_in:
        key = AssignmentKey(Protocol(protocol), port, helper)
        by_family.setdefault(key, {})[Family(family)] = Refusal(number, words)
    return Committed(
        netns,
        generation,
        guarded,
        {
            AssignmentKey(Protocol(protocol), port, helper): Refusal(number, words)
            for protocol, port, helper, number, words in refused
        },
        _families_from_plain(families),
        by_family,
    )


def revoked_to_plain(revoked: Revoked | CtherdError) -> Plain:
    """Return what a revocation came to as a tuple that says first what it is."""
    if isinstance(revoked, CtherdError):
        return error_to_plain(revoked)
    netns, cookie, settled, scans = revoked
    return (
        "revoked",
        netns,
        cookie,
        [(debts_as_lines([each.debt]), *each[1:]) for each in settled],
        scans,
    )


def revoked_from_plain(given: Plain) -> Revoked | CtherdError:
    """Return what such a tuple means."""
    if given[0] == "error":
        return error_from_plain(given)
    _, netns, cookie, settled, scans = given
    outcomes = tuple(Settled(debts_from_lines(debt)[0], *rest) for debt, *rest in settled)
    return Revoked(netns, cookie, outcomes, scans)


def unreachable(operation: str, error: OSError, netns: str = "") -> DataplaneError:
    """Return the error of a privileged side that does not answer."""
    return DataplaneError(
        operation,
        netns=netns,
        errno=error.errno or errno.EPIPE,
        words=f"the privileged daemon is gone: {error}",
        cure="it is started again",
    )


def _refusal(refusal: Refusal) -> tuple[int, str]:
    return refusal.errno, refusal.words


def _families_to_plain(families: _Families) -> Plain:
    return [
        (helper, str(protocol), sorted(map(str, made)))
        for (helper, protocol), made in families.items()
    ]


def _families_from_plain(given: Sequence[Plain]) -> _Families:
    return {
        (helper, Protocol(protocol)): frozenset(map(Family, made))
        for helper, protocol, made in given
    }
