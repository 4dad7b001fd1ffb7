"""What an agent reports, read strictly: a host may say how its documents fare, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ctherd.errors import InvalidDeclaration
from ctherd.model.catalog import Family
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.status import State
from ctherd.signing.canonical import Plain
from ctherd.signing.statements import DocumentId, Version, document_id

_MOST: Final = 1000
"""Items of each list."""
_LONGEST: Final = 2000
"""Characters of each text."""
_FACTS: Final = {"version", "kernel", "started_at", "capabilities", "keys", "in_sync", "trouble"}


@dataclass(frozen=True, slots=True)
class Fare:
    """How one document fares; *assignments* is plain data: families and remark by id."""

    router: RouterId
    netns: NetnsName
    version: Version
    assignments: Mapping[str, Plain]

    @property
    def id(self) -> DocumentId:
        """What its host calls the document."""
        return document_id(self.router, self.netns)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Nothing of a document is left on the host, since its tombstone of *version*."""

    router: RouterId
    netns: NetnsName
    version: Version

    @property
    def id(self) -> DocumentId:
        """What its host calls the document."""
        return document_id(self.router, self.netns)


@dataclass(frozen=True, slots=True)
class Unbelieved:
    """A document that the host refuses, or keeps although nobody asks for it, and why."""

    router: RouterId
    netns: NetnsName
    reason: str

    @property
    def id(self) -> DocumentId:
        """What its host calls the document."""
        return document_id(self.router, self.netns)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that is over: a repair."""

    what: str
    router: RouterId
    netns: NetnsName
    when: str
    ms: float
    words: str


@dataclass(frozen=True, slots=True)
class Report:
    """One report; *agent* are the agent's words about itself, as plain data."""

    agent: Plain
    kept: tuple[Unbelieved, ...] = ()
    fares: tuple[Fare, ...] = ()
    withdrawn: tuple[Withdrawn, ...] = ()
    refused: tuple[Unbelieved, ...] = ()
    happenings: tuple[Happening, ...] = ()


def read_report(given: Any) -> Report:
    """Return the report that JSON carries as *given*.

    Raises: InvalidDeclaration that names what is wrong with it.
    """
    try:
        return _report(_object(given))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidDeclaration(f"this is no report: {error!r}"[:300]) from error


def _report(given: Plain) -> Report:
    _only(given, {"agent", "routers", "withdrawn", "refused", "happenings"})
    agent = _object(given["agent"])
    _only(agent, _FACTS | {"kept"})
    return Report(
        {name: _bounded(agent[name]) for name in sorted(_FACTS & agent.keys())},
        _each(agent.get("kept", []), _unbelieved),
        _each(given.get("routers", []), _fare),
        _each(given.get("withdrawn", []), _withdrawn),
        _each(given.get("refused", []), _unbelieved),
        _each(given.get("happenings", []), _happening),
    )


def _fare(given: Plain) -> Fare:
    _only(given, {"router", "netns", "version", "assignments"})
    assignments = _object(given["assignments"])
    if len(assignments) > 10 * _MOST:
        raise ValueError("too many assignments")
    return Fare(
        RouterId(_name(given["router"])),
        NetnsName(_name(given["netns"])),
        _version(given["version"]),
        {_text(name): _assignment(_object(each)) for name, each in assignments.items()},
    )


def _assignment(given: Plain) -> Plain:
    _only(given, {"families", "remark"})
    families = _object(given["families"])
    return {
        "families": {
            Family(name).value: _verdict(_object(each)) for name, each in families.items()
        },
        "remark": _text(given["remark"]),
    }


def _verdict(given: Plain) -> Plain:
    _only(given, {"status", "reason", "since"})
    return {
        "status": State(given["status"]).value,
        "reason": _text(given["reason"]),
        "since": _text(given["since"]),
    }


def _withdrawn(given: Plain) -> Withdrawn:
    _only(given, {"router", "netns", "version"})
    return Withdrawn(
        RouterId(_name(given["router"])),
        NetnsName(_name(given["netns"])),
        _version(given["version"]),
    )


def _unbelieved(given: Plain) -> Unbelieved:
    _only(given, {"router", "netns", "reason"})
    return Unbelieved(
        RouterId(_name(given["router"])), NetnsName(_name(given["netns"])), _text(given["reason"])
    )


def _happening(given: Plain) -> Happening:
    _only(given, {"what", "router", "netns", "when", "ms", "words"})
    if given["what"] != "repaired":
        raise ValueError(f"nothing of the kind happens: {given['what']!r}"[:100])
    return Happening(
        given["what"],
        RouterId(_name(given["router"])),
        NetnsName(_name(given["netns"])),
        _text(given["when"]),
        _number(given["ms"]),
        _text(given["words"]),
    )


def _each(given: Any, read: Callable[[Plain], Any]) -> tuple[Any, ...]:
    if not isinstance(given, list):
        raise TypeError(f"{given!r} is not a list"[:100])
    if len(given) > _MOST:
        raise ValueError(f"more than {_MOST} items")
    return tuple(read(_object(item)) for item in given)


def _object(given: Any) -> Plain:
    if not isinstance(given, dict):
        raise TypeError(f"{given!r} is not an object"[:100])
    return given


def _only(given: Plain, names: set[str]) -> None:
    unknown = given.keys() - names
    if unknown:
        raise ValueError(f"unknown: {sorted(unknown)}"[:200])


def _version(given: Any) -> Version:
    epoch, serial = given
    if type(epoch) is not int or type(serial) is not int:
        raise TypeError("a version is two whole numbers")
    return Version(epoch, serial)


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f"{given!r} is not a text"[:100])
    return given[:_LONGEST]


def _name(given: Any) -> str:
    """Read one component of a key."""
    text = _text(given)
    if not text or "/" in text:
        raise ValueError(f"{text!r} names nothing"[:100])
    return text


def _number(given: Any) -> float:
    if type(given) not in (int, float) or not 0 <= given < 1e12:
        raise TypeError(f"{given!r} is not a time"[:100])
    return float(given)


def _bounded(given: Any, depth: int = 0) -> Any:
    """Keep plain words, short lists and small objects."""
    match given:
        case bool() | None | int():
            return given
        case str():
            return given[:_LONGEST]
        case list() if depth < 2 and len(given) <= _MOST:
            return [_bounded(each, depth + 1) for each in given]
        case dict() if depth < 2 and len(given) <= _MOST:
            return {_text(name): _bounded(each, depth + 1) for name, each in given.items()}
    raise TypeError(f"{given!r} tells nothing of an agent"[:100])
