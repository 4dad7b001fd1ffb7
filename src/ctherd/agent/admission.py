"""Which of a server's statements are believed; what is refused leaves everything as it was. Pure.

A statement is believed if a trusted key signed it, for this host, and it is newer than what is
believed of the same document already. The transport is not asked: who holds the wire or the
server's disk can withhold statements, but neither invent nor repeat one.
"""

import hashlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from ctherd.errors import CtherdError
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.router import HostName, ProjectId
from ctherd.signing.envelope import Envelope, KeyId, Verifier
from ctherd.signing.statements import (
    DocumentId,
    HostDocument,
    Manifest,
    Tombstone,
    Version,
    open_manifest,
    open_statement,
)

Statement = HostDocument | Tombstone

_RESTORE: Final = "a store goes back to a backup by `ctherd restore`, which begins a new epoch"


class StatementRefused(CtherdError):
    """A trusted key signed it, but it is not for this host, or not for now; nothing changed."""

    code = "statement"


class _Believed(NamedTuple):
    statement: Statement
    digest: bytes
    key: KeyId


class Shortfall(NamedTuple):
    """Where a manifest and what is believed differ.

    Shape: *missing* are documents that are believed and that it omits without a tombstone;
    *lacking* those that it lists in a version which never came.
    """

    missing: tuple[DocumentId, ...]
    lacking: tuple[DocumentId, ...]


class Admission:
    """What *host* believes, and whom.

    Shape: *epoch* is the highest that was believed; nothing of a lower one is, ever again.
    """

    def __init__(self, host: HostName, verifier: Verifier) -> None:
        self.host = host
        self.verifier = verifier
        self.epoch = 0
        self._believed: dict[DocumentId, _Believed] = {}
        self._floors: dict[DocumentId, Version] = {}
        self._in_netns: dict[NetnsName, DocumentId] = {}
        self._projects: dict[RouterId, ProjectId] = {}

    def statement(self, document: DocumentId) -> Statement | None:
        """Return what is believed of *document*."""
        believed = self._believed.get(document)
        return believed.statement if believed is not None else None

    def documents(self) -> Iterator[HostDocument]:
        """Yield what shall be true here."""
        for each in self._in_netns.values():
            statement = self._believed[each].statement
            assert isinstance(statement, HostDocument)
            yield statement

    def tombstones(self) -> Iterator[Tombstone]:
        """Yield what was withdrawn, acknowledged or not."""
        for each in self._believed.values():
            if isinstance(each.statement, Tombstone):
                yield each.statement

    def in_netns(self, netns: NetnsName) -> HostDocument | None:
        """Return what shall be true in *netns*."""
        document = self._in_netns.get(netns)
        statement = self.statement(document) if document is not None else None
        return statement if isinstance(statement, HostDocument) else None

    def remember(self, document: DocumentId, version: Version) -> None:
        """Believe nothing of *document* that is older than *version*."""
        self._floors[document] = max(version, self._floors.get(document, version))
        self.epoch = max(self.epoch, version.epoch)

    def admit(self, envelope: Envelope) -> Statement | None:
        """Believe *envelope* and return what it states, or None if it was believed as it stands.

        Raises: SignatureRefused, RemoteProtocolError, StatementRefused.
        """
        statement = open_statement(self.verifier, envelope)
        digest = hashlib.sha256(envelope.payload.encode()).digest()
        self._refuse_foreign(statement)
        believed = self._believed.get(statement.id)
        same = believed is not None and believed.digest == digest
        if same and believed is not None and believed.key == envelope.key:
            return None
        if not same:
            self._refuse_old(statement, believed)
            self._refuse_takeover(statement)
        self._believe(statement, _Believed(statement, digest, envelope.key))
        return statement

    def forget(self, document: DocumentId) -> Version:
        """Want nothing more of *document*, by the word of this host's operator.

        Shape: returns the lowest version that would be believed from now on.
        """
        statement = self._believed.pop(document).statement
        self._in_netns.pop(statement.netns, None)
        version = statement.version._replace(serial=statement.version.serial + 1)
        self.remember(document, version)
        return version

    def compare(self, envelope: Envelope) -> tuple[Manifest, Shortfall]:
        """Return the manifest in *envelope*, and where it differs from what is believed.

        Raises: as admit.
        """
        manifest = open_manifest(self.verifier, envelope)
        self._refuse_other_host(manifest.host)
        self._refuse_old_epoch(manifest.epoch)
        self._refuse_rollback(manifest)
        self.epoch = manifest.epoch
        missing = [each for each in self._in_netns.values() if each not in manifest.documents]
        lacking = [
            each
            for each, version in manifest.documents.items()
            if each not in self._believed or self._believed[each].statement.version < version
        ]
        return manifest, Shortfall(tuple(missing), tuple(lacking))

    def _believe(self, statement: Statement, believed: _Believed) -> None:
        self.epoch = max(self.epoch, statement.version.epoch)
        self._believed[statement.id] = believed
        self._projects[statement.router] = statement.project
        if isinstance(statement, HostDocument):
            self._in_netns[statement.netns] = statement.id
        elif self._in_netns.get(statement.netns) == statement.id:
            del self._in_netns[statement.netns]

    def _refuse_foreign(self, statement: Statement) -> None:
        self._refuse_other_host(statement.host)
        owner = self._projects.get(statement.router, statement.project)
        if owner != statement.project:
            raise StatementRefused(
                f"router {statement.router} belongs to project {owner}, "
                f"and this says {statement.project}"
            )

    def _refuse_other_host(self, host: HostName) -> None:
        if host != self.host:
            raise StatementRefused(f"this was signed for host {host}, and here is {self.host}")

    def _refuse_old(self, statement: Statement, believed: _Believed | None) -> None:
        self._refuse_old_epoch(statement.version.epoch)
        known = believed.statement.version if believed else self._floors.get(statement.id)
        if known is None or statement.version > known:
            return
        version = _spelled(statement.version)
        if statement.version == known and believed is not None:
            raise StatementRefused(f"version {version} is known here, and says something else")
        if statement.version < known:
            raise StatementRefused(f"version {version} is older than {_spelled(known)}, known here")

    def _refuse_old_epoch(self, epoch: int) -> None:
        if epoch < self.epoch:
            raise StatementRefused(
                f"this is of epoch {epoch}, and the store is in epoch {self.epoch}",
                cure=_RESTORE,
            )

    def _refuse_rollback(self, manifest: Manifest) -> None:
        for name, version in manifest.documents.items():
            believed = self._believed.get(name)
            if believed is not None and version < believed.statement.version:
                known = _spelled(believed.statement.version)
                words = f"it lists {name} in version {_spelled(version)}, older than {known} here"
                raise StatementRefused(words, cure=_RESTORE)

    def _refuse_takeover(self, statement: Statement) -> None:
        """One netns is one router, until a tombstone says that it is not any more."""
        holder = self._in_netns.get(statement.netns, statement.id)
        if isinstance(statement, HostDocument) and holder != statement.id:
            raise StatementRefused(
                f"netns {statement.netns} has {holder}, and nobody signed its removal",
                cure="`ctherd confirm` on this host gives up what its server does not list",
            )


def _spelled(version: Version) -> str:
    return f"{version.epoch}.{version.serial}"
