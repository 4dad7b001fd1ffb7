"""What a server states under its signature, and how each statement is spelled.

``document``: this router shall be so on this host. ``tombstone``: nothing of this router shall be
on this host any more. ``manifest``: exactly these documents are this host's. ``keys``: these keys
may sign from now on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NewType, TypeVar

from ctherd.errors import InvalidDeclaration, RemoteProtocolError
from ctherd.model.document import Document, NetnsName, RouterId, document
from ctherd.model.router import HostName, ProjectId
from ctherd.signing.assignments import read_assignment, spell_assignment, text, whole
from ctherd.signing.canonical import Plain
from ctherd.signing.envelope import Envelope, Signer, Verifier

DOCUMENT: Final = "document"
TOMBSTONE: Final = "tombstone"
MANIFEST: Final = "manifest"

Statement = TypeVar("Statement")


DocumentId = NewType("DocumentId", str)
"""What a statement is about, on one host: ``<router>/<netns>``."""


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

    @property
    def netns(self) -> NetnsName:
        """Where it shall be so."""
        return self.document.netns

    @property
    def id(self) -> DocumentId:
        """What a host calls it."""
        return document_id(self.router, self.document.netns)

    def signed(self, signer: Signer) -> Envelope:
        """Sign it."""
        return signer.sign(
            {
                "kind": DOCUMENT,
                **_head(self.host, self.project, self.router, self.document.netns, self.version),
                "assignments": [
                    spell_assignment(each) for each in self.document.assignments.values()
                ],
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

    @property
    def id(self) -> DocumentId:
        """What a host calls it."""
        return document_id(self.router, self.netns)

    def signed(self, signer: Signer) -> Envelope:
        """Sign it."""
        head = _head(self.host, self.project, self.router, self.netns, self.version)
        return signer.sign({"kind": TOMBSTONE, **head})


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that *host* has at *revision* of the server's store, documents and tombstones.

    Shape: *epoch* as in Version; a document that an agent has and a manifest omits was not removed
    by anybody who may: only a tombstone removes.
    """

    host: HostName
    epoch: int
    revision: int
    documents: Mapping[DocumentId, Version] = field(default_factory=dict)

    def signed(self, signer: Signer) -> Envelope:
        """Sign it."""
        return signer.sign(
            {
                "kind": MANIFEST,
                "host": self.host,
                "epoch": self.epoch,
                "revision": self.revision,
                "documents": {each: list(version) for each, version in self.documents.items()},
            }
        )


def document_id(router: RouterId, netns: NetnsName) -> DocumentId:
    """Return what a host calls the document of *router* in *netns*."""
    return DocumentId(f"{router}/{netns}")


def open_statement(verifier: Verifier, envelope: Envelope) -> HostDocument | Tombstone:
    """Return the document or the tombstone in *envelope*.

    Raises: SignatureRefused; RemoteProtocolError if a trusted key signed nonsense.
    """
    payload = verifier.open(envelope, DOCUMENT, TOMBSTONE)
    if payload["kind"] == DOCUMENT:
        return _made(_read_document, payload)
    return _made(_read_tombstone, payload)


def open_manifest(verifier: Verifier, envelope: Envelope) -> Manifest:
    """Return the manifest in *envelope*.

    Raises: as open_statement.
    """
    return _made(_read_manifest, verifier.open(envelope, MANIFEST))


def _made(make: Callable[[Plain], Statement], payload: Plain) -> Statement:
    try:
        return make(payload)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidDeclaration) as error:
        what = f"a signed {payload['kind']} that cannot be meant: {error!r}"
        raise RemoteProtocolError(what) from error


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


def _read_document(payload: Plain) -> HostDocument:
    assignments = [read_assignment(each) for each in payload["assignments"]]
    return HostDocument(
        HostName(text(payload["host"])),
        ProjectId(text(payload["project"])),
        _version(payload["version"]),
        document(text(payload["router"]), text(payload["netns"]), assignments),
    )


def _read_tombstone(payload: Plain) -> Tombstone:
    return Tombstone(
        HostName(text(payload["host"])),
        ProjectId(text(payload["project"])),
        _version(payload["version"]),
        RouterId(text(payload["router"])),
        NetnsName(text(payload["netns"])),
    )


def _read_manifest(payload: Plain) -> Manifest:
    return Manifest(
        HostName(text(payload["host"])),
        whole(payload["epoch"]),
        whole(payload["revision"]),
        {DocumentId(name): _version(each) for name, each in payload["documents"].items()},
    )


def _version(given: Any) -> Version:
    epoch, serial = given
    return Version(whole(epoch), whole(serial))
