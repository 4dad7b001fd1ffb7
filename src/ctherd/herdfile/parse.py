"""From the text of a herd file to documents, or to one error that tells all its faults."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any, Final

from ctherd.errors import InvalidDeclaration
from ctherd.herdfile import schema
from ctherd.herdfile.fault import Fault, Path, Position, quote, report
from ctherd.herdfile.marked_yaml import Marked, Unreadable, read_yaml
from ctherd.model.assignment import (
    ANY,
    Assignment,
    AssignmentId,
    OnRevoke,
    Prefix,
    family_of,
    parse_prefix,
)
from ctherd.model.catalog import Protocol, resolve
from ctherd.model.document import Document, RouterId, document, refuse_overlaps
from ctherd.model.router import HostName

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_NETNS_BYTES: Final = 255  # NAME_MAX; the schema can only count characters.

_IF_MEANT: Final = "if no router shall have any helper, write version: 1 and routers: []"

# Source: YAML 1.2.2, production c-printable; the byte order mark counts only at the start.
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


@dataclass(frozen=True, slots=True)
class Herd:
    """What one herd file declares: the complete desired state, one document per router.

    Shape: *source* is the name of the file for people; *documents* keep the order of the file;
    *hosts* has those that a router names.
    """

    source: str
    documents: tuple[Document, ...]
    hosts: Mapping[RouterId, HostName] = field(default_factory=dict)


def parse_herd(text: str | bytes, source: str, *, of_hosts: bool = False) -> Herd:
    """Read *text* as the herd file *source*; with *of_hosts* its routers may live elsewhere.

    Raises: InvalidDeclaration that tells all faults, each with line and column.
    """
    try:
        marked = read_yaml(_as_text(text))
        if marked.value is None and not marked.faults:
            raise Unreadable(Fault(Position(1, 1), (), "the file is empty", _IF_MEANT))
    except Unreadable as unreadable:
        raise report(source, [unreadable.fault]) from unreadable
    found = schema.check(marked)
    faults = [*marked.faults, *_beyond(marked.faults, found)]
    # Where the schema gave up counting, nobody knows what is well-formed.
    meaning = _Meaning(marked, faults, of_hosts=of_hosts)
    documents = meaning.documents() if len(found) < schema.ENOUGH else ()
    if faults:
        raise report(source, faults)
    return Herd(source, documents, meaning.hosts)


def _as_text(given: str | bytes) -> str:
    if len(given) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB"
        raise Unreadable(Fault(Position(1, 1), (), what, "is it a herd file?"))
    text = (_decode(given) if isinstance(given, bytes) else given).removeprefix("\ufeff")
    wrong = _UNPRINTABLE.search(text)
    if wrong:
        what = f"the character U+{ord(wrong[0]):04X} is not allowed in YAML"
        place = _end_of(text[: wrong.start()])
        raise Unreadable(Fault(place, (), what, "remove it, or write it as an escape in quotes"))
    return text


def _decode(given: bytes) -> str:
    try:
        return given.decode("utf-8")
    except UnicodeDecodeError as error:
        place = _end_of(given[: error.start].decode("utf-8"))
        what = f"the byte 0x{given[error.start]:02X} is not UTF-8"
        raise Unreadable(Fault(place, (), what, "save the file as UTF-8")) from error


def _end_of(text: str) -> Position:
    """Return the position just behind *text*."""
    lines = f"{text}.".splitlines()
    return Position(len(lines), len(lines[-1]))


def _beyond(known: Iterable[Fault], found: Iterable[Fault]) -> Iterator[Fault]:
    """Yield what was *found* about values that are not *known* to be faulty already."""
    told = {fault.path for fault in known}
    return (fault for fault in found if fault.path not in told)


class _Meaning:
    """Makes documents of what is well-formed, and gathers the faults that only meaning shows.

    A fault of one assignment hides nothing about its neighbours.
    """

    def __init__(self, marked: Marked, faults: list[Fault], *, of_hosts: bool) -> None:
        self.marked = marked
        self.faults = faults
        self.of_hosts = of_hosts
        self.hosts: dict[RouterId, HostName] = {}
        # A path of length 4 is an assignment: routers[i].helpers[j].
        self.malformed = {fault.path[:4] for fault in faults}
        self.malformed |= {path[:2] for path in self.malformed if len(path) < 4}

    def documents(self) -> tuple[Document, ...]:
        if self.malformed & {(), ("routers",)}:
            return ()
        routers = self._well_formed(("routers",))
        self._refuse_duplicates("name", routers)
        self._refuse_duplicates("netns", routers)
        self._read_hosts(routers)
        made = [self._document(path, router) for path, router in routers]
        return tuple(each for each in made if each is not None)

    def _well_formed(self, path: Path) -> list[tuple[Path, dict[str, Any]]]:
        entries: Any = self.marked.value
        for step in path:
            entries = entries[step]
        numbered = (((*path, index), entry) for index, entry in enumerate(entries))
        return [each for each in numbered if each[0] not in self.malformed]

    def _refuse_duplicates(self, key: str, routers: list[tuple[Path, dict[str, Any]]]) -> None:
        first: dict[tuple[str, str], Path] = {}
        for path, router in routers:
            place = (*path, key)
            # Two hosts may well have a netns of one name each.
            host = router.get("host", "") if key == "netns" else ""
            other = first.setdefault((host, router[key]), place)
            if other is not place:
                what = f"{quote(router[key])} is declared twice, {self._first(other)}"
                self._blame(place, what, "one network namespace is one router, with one name")

    def _read_hosts(self, routers: list[tuple[Path, dict[str, Any]]]) -> None:
        for path, router in routers:
            if "host" not in router:
                continue
            self.hosts[RouterId(router["name"])] = HostName(router["host"])
            if not self.of_hosts:
                what = "a host is named, but without a server the file is for this machine alone"
                self._blame((*path, "host"), what, "leave it out, or apply the file with --server")

    def _document(self, path: Path, router: dict[str, Any]) -> Document | None:
        if len(router["netns"].encode()) > MAX_NETNS_BYTES:
            self._blame((*path, "netns"), f"the name is longer than {MAX_NETNS_BYTES} bytes")
        entries = self._well_formed((*path, "helpers"))
        placed = [(place, self._assignment(place, entry)) for place, entry in entries]
        made = [(place, each) for place, each in placed if each is not None]
        try:
            return document(router["name"], router["netns"], (each for _, each in made))
        except InvalidDeclaration:
            self._refuse_clashes(made)
            return None

    def _assignment(self, path: Path, entry: dict[str, Any]) -> Assignment | None:
        # A thousand routers share a dozen names.
        helper = intern(entry["helper"])
        protocol, port = Protocol(entry["protocol"]), entry["port"]
        destinations = self._destinations(path, entry)
        try:
            return Assignment(
                AssignmentId(f"{protocol}/{port}/{helper}"),
                helper,
                protocol,
                port,
                destinations,
                OnRevoke(entry.get("on_revoke", OnRevoke.DETACH)),
                entry.get("adopt_flows", False),
            )
        except InvalidDeclaration as error:
            place = _place_of_fault(helper, protocol, destinations)
            self._blame((*path, *place), error.what, error.cure)
            return None

    def _destinations(self, path: Path, entry: dict[str, Any]) -> tuple[Prefix, ...]:
        if "destinations" not in entry:
            return ANY
        prefixes: list[Prefix] = []
        for index, each in enumerate(entry["destinations"]):
            try:
                prefixes.append(parse_prefix(each))
            except InvalidDeclaration as error:
                self._blame((*path, "destinations", index), error.what, error.cure)
        return tuple(prefixes)

    def _refuse_clashes(self, made: list[tuple[Path, Assignment]]) -> None:
        """Blame every assignment that excludes one before it.

        The first of a kind stands for the kind, so that many equal ones are compared with few.
        """
        seen: dict[tuple[Protocol, int], list[tuple[Path, Assignment]]] = {}
        for path, each in made:
            rivals = seen.setdefault((each.protocol, each.port), [])
            for other_path, other in rivals:
                try:
                    refuse_overlaps((other, each))
                except InvalidDeclaration as error:
                    what = f"{error.what}; {self._first(other_path)}"
                    self._blame(path, what, error.cure)
                    break
            else:
                rivals.append((path, each))

    def _blame(self, path: Path, what: str, cure: str = "") -> None:
        self.faults.append(Fault(self.marked.position(path), path, what, cure))

    def _first(self, path: Path) -> str:
        place = self.marked.position(path)
        return f"first on line {place.line}, column {place.column}"


def _place_of_fault(helper: str, protocol: Protocol, destinations: Iterable[Prefix]) -> Path:
    """Return which part of an assignment the model refused, below the assignment."""
    try:
        families = resolve(helper, protocol).families
    except InvalidDeclaration:
        return ("helper",)
    for index, prefix in enumerate(destinations):
        if family_of(prefix) not in families:
            return ("destinations", index)
    return ()
