"""What an agent reports, read strictly: a host may say how its documents fare, and nothing else.

``report.schema.json`` says what a report looks like and how long its texts and lists may be. A
compiled validator reads it: a router with a hundred helpers reports two hundred verdicts at once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import jsonschema_rs

from ctherd.errors import InvalidDeclaration
from ctherd.model.document import NetnsName, RouterId
from ctherd.signing.canonical import Plain
from ctherd.signing.statements import DocumentId, Version, document_id

_SCHEMA: Final = jsonschema_rs.Draft202012Validator(
    json.loads(files("ctherd.service").joinpath("report.schema.json").read_text(encoding="utf-8"))
)


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
        error = next(iter(_SCHEMA.iter_errors(given)), None)
    except ValueError as unspeakable:
        raise InvalidDeclaration(f"this is no report: {unspeakable}"[:300]) from unspeakable
    if error is not None:
        where = "/".join(map(str, error.instance_path))
        raise InvalidDeclaration(f"this is no report: {error.message}"[:300], where=where)
    agent = dict(given["agent"])
    return Report(
        kept=tuple(map(_unbelieved, agent.pop("kept", ()))),
        agent=agent,
        fares=tuple(map(_fare, given.get("routers", ()))),
        withdrawn=tuple(map(_withdrawn, given.get("withdrawn", ()))),
        refused=tuple(map(_unbelieved, given.get("refused", ()))),
        happenings=tuple(map(_happening, given.get("happenings", ()))),
    )


def _fare(given: Plain) -> Fare:
    return Fare(*_document(given), Version(*given["version"]), given["assignments"])


def _withdrawn(given: Plain) -> Withdrawn:
    return Withdrawn(*_document(given), Version(*given["version"]))


def _unbelieved(given: Plain) -> Unbelieved:
    return Unbelieved(*_document(given), given["reason"])


def _happening(given: Plain) -> Happening:
    document = _document(given)
    return Happening(given["what"], *document, given["when"], float(given["ms"]), given["words"])


def _document(given: Plain) -> tuple[RouterId, NetnsName]:
    # JSON can spell half of a surrogate pair, and no store can have it in a key.
    if not (given["router"].isprintable() and given["netns"].isprintable()):
        raise InvalidDeclaration("this is no report: a name that cannot be printed")
    return RouterId(given["router"]), NetnsName(given["netns"])
