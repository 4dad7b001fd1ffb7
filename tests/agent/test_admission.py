"""What is believed of a server, and what is refused whoever says it."""

import pytest

from ctherd.agent.admission import Admission, StatementRefused
from ctherd.model.document import NetnsName
from ctherd.signing.envelope import Envelope, SignatureRefused, Verifier
from ctherd.signing.statements import DocumentId, Version
from tests.agent.statements import (
    HERE,
    NEXT,
    SIGNER,
    STRANGER,
    TRUSTED,
    gone,
    manifest,
    wanted,
)
from tests.reconcile.machine import FTP, TFTP

R1 = DocumentId("r1/q1")


@pytest.fixture
def admission() -> Admission:
    """A host that believes version 1.5 of router r1 in q1."""
    admission = Admission(HERE, TRUSTED)
    admission.admit(wanted("r1", "q1", FTP, version=(1, 5)))
    return admission


def believes(admission: Admission) -> dict[str, tuple[int, ...]]:
    return {each.id: tuple(each.version) for each in admission.documents()}


def test_a_newer_version_replaces_an_older_one(admission: Admission) -> None:
    """Versions compare by epoch first, then by serial."""
    admission.admit(wanted("r1", "q1", version=(1, 6)))
    assert believes(admission) == {R1: (1, 6)}
    admission.admit(wanted("r1", "q1", version=(2, 1)))
    assert believes(admission) == {R1: (2, 1)}


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (wanted("r1", "q1", FTP, version=(1, 4)), "older than 1.5"),
        (gone("r1", "q1", version=(1, 4)), "older than 1.5"),
        (wanted("r1", "q1", FTP, TFTP, version=(1, 5)), "says something else"),
        (gone("r1", "q1", version=(1, 5)), "says something else"),
        (wanted("r2", "q2", FTP, version=(0, 99)), "of epoch 0"),
        (wanted("r1", "q1", version=(1, 6), host="there"), "signed for host there"),
        (wanted("r1", "q1", version=(1, 6), project="red"), "belongs to project blue"),
        (wanted("r1", "q2", version=(1, 6), project="red"), "belongs to project blue"),
        (wanted("r2", "q1", version=(1, 6)), "netns q1 has r1/q1"),
    ],
)
def test_what_does_not_fit_is_refused(
    admission: Admission, statement: Envelope, words: str
) -> None:
    """Replayed, altered, foreign, or for somebody else's netns: nothing changes."""
    with pytest.raises(StatementRefused, match=words):
        admission.admit(statement)
    assert believes(admission) == {R1: (1, 5)}


def test_what_nobody_trusted_signed_is_refused(admission: Admission) -> None:
    """An unknown key, a known key's name on another signature, a changed payload."""
    newer = wanted("r1", "q1", version=(1, 6))
    forged = [
        wanted("r1", "q1", version=(1, 6), signer=STRANGER),
        wanted("r1", "q1", version=(1, 6), signer=STRANGER)._replace(key=SIGNER.key),
        newer._replace(payload=newer.payload.replace("[1,6]", "[1,7]")),
        newer._replace(signature=""),
        manifest(1, {}),
    ]
    for envelope in forged:
        with pytest.raises(SignatureRefused):
            admission.admit(envelope)
    assert believes(admission) == {R1: (1, 5)}


def test_the_same_statement_again_is_no_news(admission: Admission) -> None:
    """The server may repeat itself; the same words under a new key replace the envelope."""
    assert admission.admit(wanted("r1", "q1", FTP, version=(1, 5))) is None
    admission.verifier = Verifier({SIGNER.key: SIGNER.public, NEXT.key: NEXT.public})
    again = wanted("r1", "q1", FTP, version=(1, 5), signer=NEXT)
    assert admission.admit(again) is not None
    assert admission.admit(again) is None


def test_a_tombstone_takes_away_and_nothing_old_comes_back(admission: Admission) -> None:
    """After a tombstone the document that it removed is only a replay."""
    old = wanted("r1", "q1", FTP, version=(1, 5))
    admission.admit(gone("r1", "q1", version=(1, 6)))
    assert believes(admission) == {}
    with pytest.raises(StatementRefused, match=r"older than 1\.6"):
        admission.admit(old)
    admission.admit(wanted("r2", "q1", FTP, version=(1, 1)))
    assert admission.in_netns(NetnsName("q1")) is not None


def test_a_tombstone_of_another_router_leaves_its_successor(admission: Admission) -> None:
    """r2 never had q1 here; its removal is no removal of r1."""
    admission.admit(gone("r2", "q1", version=(1, 9)))
    assert believes(admission) == {R1: (1, 5)}


def test_what_was_given_up_does_not_come_back_by_itself(admission: Admission) -> None:
    """The operator's word counts until the server says something newer."""
    given_up = wanted("r1", "q1", FTP, version=(1, 5))
    assert admission.forget(R1) == Version(1, 6)
    with pytest.raises(StatementRefused, match="older"):
        admission.admit(given_up)
    admission.admit(wanted("r1", "q1", FTP, version=(1, 6)))
    assert believes(admission) == {R1: (1, 6)}


def test_a_manifest_is_compared_and_changes_nothing(admission: Admission) -> None:
    """It tells what is missing and what never came, and removes neither."""
    admission.admit(wanted("r2", "q2", version=(1, 1)))
    _, shortfall = admission.compare(manifest(9, {"r2/q2": (1, 2), "r3/q3": (1, 1)}))
    assert shortfall.missing == (R1,)
    assert shortfall.lacking == ("r2/q2", "r3/q3")
    assert believes(admission) == {R1: (1, 5), "r2/q2": (1, 1)}


@pytest.mark.parametrize(
    "other",
    [
        manifest(9, {}, host="there"),
        manifest(9, {}, epoch=0),
        manifest(9, {"r1/q1": (1, 4)}),
    ],
)
def test_a_manifest_of_another_host_or_of_the_past_is_refused(
    admission: Admission, other: Envelope
) -> None:
    """It would only confuse; nothing is in sync by it."""
    with pytest.raises(StatementRefused):
        admission.compare(other)


def test_a_new_epoch_shuts_the_old_one(admission: Admission) -> None:
    """After a restore nothing of the time before is believed any more."""
    admission.compare(manifest(3, {}, epoch=2))
    with pytest.raises(StatementRefused, match="epoch"):
        admission.admit(wanted("r1", "q1", version=(1, 99)))
    assert believes(admission) == {R1: (1, 5)}
