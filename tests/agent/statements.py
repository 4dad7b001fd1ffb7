"""Statements as a server signs them, for one host."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ctherd.model.assignment import Assignment
from ctherd.model.document import NetnsName, RouterId, document
from ctherd.model.router import HostName, ProjectId
from ctherd.signing.envelope import Envelope, Signer, Verifier
from ctherd.signing.statements import (
    DocumentId,
    HostDocument,
    Manifest,
    Tombstone,
    Version,
)

SIGNER, NEXT, STRANGER = (Signer(Ed25519PrivateKey.generate()) for _ in range(3))
TRUSTED = Verifier({SIGNER.key: SIGNER.public})
HERE = HostName("here")


def wanted(
    router: str,
    netns: str,
    *assignments: Assignment,
    version: tuple[int, int] = (1, 1),
    host: str = HERE,
    project: str = "blue",
    signer: Signer = SIGNER,
) -> Envelope:
    return HostDocument(
        HostName(host), ProjectId(project), Version(*version), document(router, netns, assignments)
    ).signed(signer)


def gone(
    router: str, netns: str, *, version: tuple[int, int] = (1, 2), signer: Signer = SIGNER
) -> Envelope:
    return Tombstone(
        HERE, ProjectId("blue"), Version(*version), RouterId(router), NetnsName(netns)
    ).signed(signer)


def manifest(
    revision: int,
    documents: dict[str, tuple[int, int]],
    *,
    epoch: int = 1,
    host: str = HERE,
    signer: Signer = SIGNER,
) -> Envelope:
    versions = {DocumentId(name): Version(*each) for name, each in documents.items()}
    return Manifest(HostName(host), epoch, revision, versions).signed(signer)
