"""Signed statements: what a trusted key said is read, and nothing else is."""

import base64
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import RemoteProtocolError
from ctherd.model.assignment import Assignment, AssignmentId, OnRevoke, parse_prefix
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, RouterId, document
from ctherd.model.router import HostName, ProjectId
from ctherd.signing.envelope import SignatureRefused, Signer, Verifier, from_plain
from ctherd.signing.statements import (
    HostDocument,
    Manifest,
    Tombstone,
    Version,
    open_manifest,
    open_statement,
)
from tests.conftest import GOLDEN, Golden

SIGNER = Signer(Ed25519PrivateKey.generate())
TRUSTED = Verifier({SIGNER.key: SIGNER.public})
USUAL = {"id": "a", "helper": "ftp", "protocol": "tcp", "port": 21, "destinations": []}
DOCUMENT = HostDocument(
    HostName("node-1"),
    ProjectId("blue"),
    Version(1, 7),
    document(
        "edge",
        "qrouter-1",
        [
            Assignment(AssignmentId("a"), "ftp", Protocol.TCP, 21),
            Assignment(
                AssignmentId("b"),
                "h323",
                Protocol.UDP,
                1719,
                (parse_prefix("203.0.113.0/24"), parse_prefix("2001:db8::/64")),
            ),
        ],
    ),
)
TOMBSTONE = Tombstone(
    HostName("node-1"), ProjectId("blue"), Version(2, 8), RouterId("edge"), NetnsName("qrouter-1")
)
MANIFEST = Manifest(HostName("node-1"), 2, 99, {TOMBSTONE.id: Version(2, 8)})


def test_what_was_signed_is_read_back_equal() -> None:
    """Document, tombstone and manifest survive, aliases and destinations included."""
    assert open_statement(TRUSTED, DOCUMENT.signed(SIGNER)) == DOCUMENT
    assert open_statement(TRUSTED, TOMBSTONE.signed(SIGNER)) == TOMBSTONE
    assert open_manifest(TRUSTED, MANIFEST.signed(SIGNER)) == MANIFEST


FLOWS = [
    Assignment(AssignmentId("k"), "ftp", Protocol.TCP, 21, on_revoke=OnRevoke.KILL),
    Assignment(AssignmentId("a"), "tftp", Protocol.UDP, 69, adopt_flows=True),
    Assignment(AssignmentId("l"), "sip", Protocol.UDP, 5060, (), OnRevoke.LEAVE, True),
]


def test_what_shall_become_of_flows_is_signed_too() -> None:
    """Each assignment is read back with it; what is as usual has no member of its own."""
    said = replace(DOCUMENT, document=document("edge", "qrouter-1", FLOWS))
    read = open_statement(TRUSTED, said.signed(SIGNER))
    assert read == said
    assert isinstance(read, HostDocument)
    assert list(read.document.assignments.values()) == FLOWS
    members = [set(each) for each in json.loads(said.signed(SIGNER).payload)["assignments"]]
    usual = {"id", "helper", "protocol", "port", "destinations"}
    assert members == [
        usual | {"on_revoke"},
        usual | {"adopt_flows"},
        usual | {"on_revoke", "adopt_flows"},
    ]


def test_what_is_as_usual_is_spelled_as_ever(golden: Golden) -> None:
    """A document from before there was a choice has the same bytes today, and is believed."""
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    golden("signing/document.json", json.dumps(DOCUMENT.signed(signer).as_plain(), indent=2) + "\n")
    old = from_plain(json.loads((GOLDEN / "signing" / "document.json").read_text()))
    assert open_statement(Verifier({signer.key: signer.public}), old) == DOCUMENT


def test_what_an_agent_does_not_know() -> None:
    """A member means nothing to it; a kind of statement is refused, with the kind's name."""
    payload = json.loads(DOCUMENT.signed(SIGNER).payload)
    payload["assignments"][0]["later"] = "whatever"
    assert open_statement(TRUSTED, SIGNER.sign(payload)) == DOCUMENT
    with pytest.raises(SignatureRefused, match="document-2"):
        open_statement(TRUSTED, SIGNER.sign(payload | {"kind": "document-2"}))


def test_an_envelope_travels_as_json() -> None:
    """What the wire carries is the same envelope again."""
    envelope = DOCUMENT.signed(SIGNER)
    assert from_plain(json.loads(json.dumps(envelope.as_plain()))) == envelope


@given(st.data())
def test_one_changed_character_is_refused(data: st.DataObject) -> None:
    """Wherever the payload is touched, the signature does not fit any more."""
    envelope = DOCUMENT.signed(SIGNER)
    at = data.draw(st.integers(0, len(envelope.payload) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != envelope.payload[at]))
    forged = envelope.payload[:at] + other + envelope.payload[at + 1 :]
    with pytest.raises(SignatureRefused):
        open_statement(TRUSTED, envelope._replace(payload=forged))


def test_a_signature_by_a_stranger_is_refused() -> None:
    """Even if the stranger names the trusted key's id."""
    stranger = Signer(Ed25519PrivateKey.generate())
    envelope = DOCUMENT.signed(stranger)
    with pytest.raises(SignatureRefused, match="not among those trusted"):
        open_statement(TRUSTED, envelope)
    with pytest.raises(SignatureRefused, match="does not fit"):
        open_statement(TRUSTED, envelope._replace(key=SIGNER.key))


@pytest.mark.parametrize("signature", ["", "!", "AAAA", "ä", base64.b64encode(bytes(64)).decode()])
def test_a_broken_signature_is_refused(signature: str) -> None:
    """Nothing that is not the signature gets through, and nothing crashes."""
    with pytest.raises(SignatureRefused):
        open_statement(TRUSTED, DOCUMENT.signed(SIGNER)._replace(signature=signature))


def test_one_kind_of_statement_is_not_another() -> None:
    """A signed manifest is no document, a signed document no manifest."""
    with pytest.raises(SignatureRefused, match="'manifest', and no document or tombstone"):
        open_statement(TRUSTED, MANIFEST.signed(SIGNER))
    with pytest.raises(SignatureRefused, match="'document', and no manifest"):
        open_manifest(TRUSTED, DOCUMENT.signed(SIGNER))


@pytest.mark.parametrize(
    "wrong",
    [
        {"assignments": None},
        {"assignments": [{}]},
        {"version": [1]},
        {"version": ["1", 2]},
        {"host": 1},
        {
            "assignments": [
                {"id": "a", "helper": "nope", "protocol": "tcp", "port": 1, "destinations": []}
            ]
        },
        {"assignments": [USUAL | {"on_revoke": "forget"}]},
        {"assignments": [USUAL | {"on_revoke": None}]},
        {"assignments": [USUAL | {"adopt_flows": 1}]},
    ],
)
def test_signed_nonsense_is_an_error_of_the_peer(wrong: dict[str, object]) -> None:
    """A server with a bug cannot make an agent crash, or take half a document."""
    payload = json.loads(DOCUMENT.signed(SIGNER).payload)
    with pytest.raises(RemoteProtocolError):
        open_statement(TRUSTED, SIGNER.sign(payload | wrong))


@pytest.mark.parametrize("value", [None, [], {}, {"payload": 1, "key": "a", "signature": "b"}])
def test_what_is_no_envelope_is_refused(value: object) -> None:
    """Before any key is looked at."""
    with pytest.raises(RemoteProtocolError):
        from_plain(value)


def test_versions_compare_epoch_first() -> None:
    """A restored server begins a new epoch, which is newer than any serial of the old one."""
    assert Version(2, 1) > Version(1, 10_000)
    assert replace(DOCUMENT, version=Version(1, 8)).version > DOCUMENT.version


def test_the_signature_is_the_documented_one() -> None:
    """Anybody with an Ed25519 library can check it: context, line feed, payload."""
    envelope = DOCUMENT.signed(SIGNER)
    said = b"ctherd-signed-v1\n" + envelope.payload.encode("ascii")
    key = Ed25519PublicKey.from_public_bytes(SIGNER.public)
    key.verify(base64.b64decode(envelope.signature), said)
