"""What a server states under its signature, and how each statement is spelled.

``document``: this router shall be so on this host. ``tombstone``: nothing of this router shall be
on this host any more. ``manifest``: exactly these routers are this host's. ``keys``: these keys may
sign from now on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from ctherd.errors import InvalidDeclaration, RemoteProtocolError
from ctherd.model.assignment import Assignment, AssignmentId, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.document import Document, NetnsName, RouterId, document
from ctherd.model.router import HostName, ProjectId
from ctherd.signing.canonical import Plain
from ctherd.signing.envelope import Envelope, Signer, Verifier

DOCUMENT: Final = "document"
TOMBSTONE: Final = "tombstone"
MANIFEST: Final = "manifest"

Statement = TypeVar("Statement")


class Version(NamedTuple):
    """Which of two statements about a router is newer; compares as a tuple.

    Shape: *epoch* grows when the store is restored from a backup, *serial* with every change of
    the router; a serial never starts again within an epoch.
    """

    epoch: int
    serial: int


@dataclass(frozen=True, slots=True)
class HostDocument:
    """What *host* shall make true for one router of *project*."""

    host: HostName
    project: ProjectId
    version: Version
    document: Document

    @property
    def router(self) -> RouterId:
        """The router that this is about."""
        return self.document.router

    def signed(self, signer: Signer) -> Envelope:
        """Sign it."""
        return signer.sign(
            {
                "kind": DOCUMENT,
                **_head(self.host, self.project, self.router, self.document.netns, self.version),
                "assignments": [_assignment(each) for each in self.document.assignments.values()],
            }
        )


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Nothing of *router* shall be in *netns* of *host* any more."""

    host: HostName
    project: ProjectId
    version: Version
    router: RouterId
    netns: NetnsName

    def signed(self, signer: Signer) -> Envelope:
        """Sign it."""
        head = _head(self.host, self.project, self.router, self.netns, self.version)
        return signer.sign({"kind": TOMBSTONE, **head})


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that *host* has at *revision* of the server's store: routers and tombstones by version.

    Shape: *epoch* as in Version; a router that an agent has and a manifest omits was not removed
    by anybody who may: only a tombstone removes.
    """

    host: HostName
    epoch: int
    revision: int
    routers: Mapping[RouterId, Version] = field(default_factory=dict)

    def signed(self, signer: Signer) -> Envelope:
        """Sign it."""
        return signer.sign(
            {
                "kind": MANIFEST,
                "host": self.host,
                "epoch": self.epoch,
                "revision": self.revision,
                "routers": {router: list(version) for router, version in self.routers.items()},
            }
        )


def open_document(verifier: Verifier, envelope: Envelope) -> HostDocument:
    """Return the document in *envelope*.

    Raises: SignatureRefused; RemoteProtocolError if a trusted key signed nonsense.
    """
    return _opened(verifier, envelope, DOCUMENT, _read_document)


def open_tombstone(verifier: Verifier, envelope: Envelope) -> Tombstone:
    """Return the tombstone in *envelope*.

    Raises: as open_document.
    """
    return _opened(verifier, envelope, TOMBSTONE, _read_tombstone)


def open_manifest(verifier: Verifier, envelope: Envelope) -> Manifest:
    """Return the manifest in *envelope*.

    Raises: as open_document.
    """
    return _opened(verifier, envelope, MANIFEST, _read_manifest)


def _opened(
    verifier: Verifier, envelope: Envelope, kind: str, make: Callable[[Plain], Statement]
) -> Statement:
    payload = verifier.open(envelope, kind)
    try:
        return make(payload)
    except (KeyError, TypeError, ValueError, InvalidDeclaration) as error:
        raise RemoteProtocolError(f"a signed {kind} that cannot be meant: {error!r}") from error


def _head(
    host: HostName, project: ProjectId, router: RouterId, netns: NetnsName, version: Version
) -> Plain:
    return {
        "host": host,
        "project": project,
        "router": router,
        "netns": netns,
        "version": list(version),
    }


def _assignment(assignment: Assignment) -> Plain:
    return {
        "id": assignment.id,
        "helper": assignment.helper,
        "protocol": assignment.protocol.value,
        "port": assignment.port,
        "destinations": [str(prefix) for prefix in assignment.destinations],
    }


def _read_document(payload: Plain) -> HostDocument:
    assignments = [
        Assignment(
            AssignmentId(_text(each["id"])),
            _text(each["helper"]),
            Protocol(each["protocol"]),
            _whole(each["port"]),
            tuple(parse_prefix(_text(prefix)) for prefix in each["destinations"]),
        )
        for each in payload["assignments"]
    ]
    return HostDocument(
        HostName(_text(payload["host"])),
        ProjectId(_text(payload["project"])),
        _version(payload["version"]),
        document(_text(payload["router"]), _text(payload["netns"]), assignments),
    )


def _read_tombstone(payload: Plain) -> Tombstone:
    return Tombstone(
        HostName(_text(payload["host"])),
        ProjectId(_text(payload["project"])),
        _version(payload["version"]),
        RouterId(_text(payload["router"])),
        NetnsName(_text(payload["netns"])),
    )


def _read_manifest(payload: Plain) -> Manifest:
    return Manifest(
        HostName(_text(payload["host"])),
        _whole(payload["epoch"]),
        _whole(payload["revision"]),
        {RouterId(router): _version(each) for router, each in payload["routers"].items()},
    )


def _version(given: Any) -> Version:
    epoch, serial = given
    return Version(_whole(epoch), _whole(serial))


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f"{given!r} is not a string")
    return given


def _whole(given: Any) -> int:
    if type(given) is not int:
        raise TypeError(f"{given!r} is not a whole number")
    return given
