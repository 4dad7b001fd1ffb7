"""What a host believes outlives the agent, and what it may not believe any more does not."""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctherd.agent.belief import Belief
from ctherd.agent.document_cache import CACHE_FILE, DocumentCache
from ctherd.agent.trust import Trust
from ctherd.errors import ConfigurationError
from ctherd.signing.envelope import Envelope, Signer
from ctherd.signing.key_set import KeySet
from ctherd.signing.statements import DocumentId
from tests.agent.statements import HERE, NEXT, SIGNER, STRANGER, gone, manifest, wanted
from tests.reconcile.machine import FTP

R1, R2 = DocumentId("r1/q1"), DocumentId("r2/q2")


def key_set(version: int, *signers: Signer) -> KeySet:
    return KeySet(version, {each.key: each.public for each in signers}, signers[-1].key)


def pin(directory: Path, *signers: Signer, version: int = 1) -> None:
    plain = key_set(version, *signers).as_plain()
    (directory / "pinned").write_text(json.dumps(plain))


@contextmanager
def agent(directory: Path) -> Iterator[Belief]:
    """One life of an agent, as far as its belief goes."""
    cache = DocumentCache(directory / CACHE_FILE)
    belief = Belief(HERE, Trust(directory / "pinned", cache), cache)
    try:
        yield belief
    finally:
        belief.close()


def hear(belief: Belief, *envelopes: Envelope) -> None:
    for envelope in envelopes:
        payload = json.loads(envelope.payload)
        name = DocumentId(f"{payload['router']}/{payload['netns']}")
        belief.hear_document(name, {"envelope": envelope.as_plain()})
    belief.keep()


def in_sync(belief: Belief, envelope: Envelope) -> bool:
    return belief.hear_manifest({"manifest": envelope.as_plain()}) is not None


def wants(belief: Belief) -> set[str]:
    return {each.id for each in belief.statements.documents()}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    pin(tmp_path, SIGNER)
    return tmp_path


def test_documents_tombstones_and_position_outlive_the_agent(directory: Path) -> None:
    """A start knows what was believed, and asks for what is new only."""
    with agent(directory) as belief:
        hear(belief, wanted("r1", "q1", FTP), wanted("r2", "q2"), gone("r2", "q2"))
        assert in_sync(belief, manifest(7, {R1: (1, 1), R2: (1, 2)}))
    with agent(directory) as belief:
        assert wants(belief) == {R1}
        assert [each.id for each in belief.statements.tombstones()] == [R2]
        assert belief.resume_from() == {"epoch": "1", "since": "7"}
        hear(belief, wanted("r2", "q2", version=(1, 1)))
        assert "older" in belief.refused[R2]


def test_nobody_else_may_read_the_cache(directory: Path) -> None:
    """Mode 0600, side files included."""
    with agent(directory) as belief:
        hear(belief, wanted("r1", "q1"))
        for path in directory.glob(f"{CACHE_FILE}*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_everything_is_asked_for_again_after_a_refusal(directory: Path) -> None:
    """What was refused may come right, under a key that is not known yet."""
    with agent(directory) as belief:
        assert in_sync(belief, manifest(7, {}))
        hear(belief, wanted("r1", "q1", signer=NEXT))
        assert "not among those trusted" in belief.refused[R1]
        assert belief.resume_from() == {}
        belief.hear_keys({"envelope": key_set(2, SIGNER, NEXT).signed(SIGNER).as_plain()})
        hear(belief, wanted("r1", "q1", signer=NEXT))
        assert (wants(belief), belief.refused) == ({R1}, {})


def test_a_manifest_that_goes_back_is_refused(directory: Path) -> None:
    """A store that was put back by hand is not in sync with anybody, until a new epoch."""
    with agent(directory) as belief:
        assert in_sync(belief, manifest(7, {}))
        assert not in_sync(belief, manifest(6, {}))
        assert "revision 6" in belief.trouble
        assert in_sync(belief, manifest(2, {}, epoch=2))
        assert belief.trouble == ""
    with agent(directory) as belief:
        assert not in_sync(belief, manifest(99, {}))


def test_a_document_that_the_manifest_lists_and_that_never_came_is_reported(
    directory: Path,
) -> None:
    """Whoever holds it back is noticed."""
    with agent(directory) as belief:
        assert in_sync(belief, manifest(7, {R1: (1, 3)}))
        assert "1.3, which never came" in belief.refused[R1]


def test_a_document_that_a_manifest_omits_is_kept(directory: Path) -> None:
    """Only a tombstone removes, or the operator's word, which is remembered."""
    with agent(directory) as belief:
        hear(belief, wanted("r1", "q1", FTP))
        assert in_sync(belief, manifest(7, {}))
        assert (wants(belief), belief.missing) == ({R1}, (R1,))
        belief.give_up(belief.missing)
        assert (wants(belief), belief.missing) == (set(), ())
    with agent(directory) as belief:
        assert wants(belief) == set()
        hear(belief, wanted("r1", "q1", FTP))
        assert "older" in belief.refused[R1]


def test_kept_documents_of_an_old_epoch_outlive_the_agent(directory: Path) -> None:
    """A restored store may have lost a router: it stays until somebody decides."""
    with agent(directory) as belief:
        hear(belief, wanted("r1", "q1", FTP))
        hear(belief, wanted("r2", "q2", version=(2, 1)))
        assert in_sync(belief, manifest(9, {R2: (2, 1)}, epoch=2))
    with agent(directory) as belief:
        assert wants(belief) == {R1, R2}
        assert belief.refused == {}


def test_cached_documents_are_verified_again(directory: Path) -> None:
    """A key that the operator no longer trusts takes its documents with it, but not their age."""
    with agent(directory) as belief:
        hear(belief, wanted("r1", "q1", FTP, version=(1, 5)))
    pin(directory, NEXT)
    with agent(directory) as belief:
        assert wants(belief) == set()
        hear(belief, wanted("r1", "q1", FTP, version=(1, 4), signer=NEXT))
        assert "older" in belief.refused[R1]
        hear(belief, wanted("r1", "q1", FTP, version=(1, 5), signer=NEXT))
        assert wants(belief) == {R1}


def test_an_edited_cache_is_not_believed(directory: Path) -> None:
    """Whoever changes a cached document gains nothing by it."""
    with agent(directory) as belief:
        hear(belief, wanted("r1", "q1", FTP))
    cache = DocumentCache(directory / CACHE_FILE)
    cache._db.execute("UPDATE statement SET payload = replace(payload, '21', '22')")
    cache.close()
    with agent(directory) as belief:
        assert wants(belief) == set()
        assert "does not fit" in belief.refused[R1]


def test_a_broken_cache_is_put_aside(directory: Path) -> None:
    """The agent starts, knows nothing, and asks for everything."""
    (directory / CACHE_FILE).write_bytes(b"this is no database" * 100)
    with agent(directory) as belief:
        assert (wants(belief), belief.resume_from()) == (set(), {})
    assert (directory / "documents.broken").exists()


# -- keys ------------------------------------------------------------------------------------------


def test_learned_keys_outlive_the_agent(directory: Path) -> None:
    """Until the operator pins other ones."""
    with agent(directory) as belief:
        belief.hear_keys({"envelope": key_set(2, NEXT).signed(SIGNER).as_plain()})
        assert belief.keys == [NEXT.key]
    with agent(directory) as belief:
        assert belief.keys == [NEXT.key]
        pin(directory, STRANGER)
        belief.reload()
        assert belief.keys == [STRANGER.key]


@pytest.mark.parametrize(
    "keys",
    [
        key_set(2, STRANGER).signed(STRANGER),
        key_set(2, STRANGER, SIGNER).signed(STRANGER),
        key_set(2, NEXT).signed(SIGNER)._replace(payload='{"kind":"keys"}'),
        wanted("r1", "q1"),
    ],
)
def test_nobody_introduces_himself(directory: Path, keys: Envelope) -> None:
    """A set that no trusted key signed changes nothing, and is told."""
    with agent(directory) as belief:
        belief.hear_keys({"envelope": keys.as_plain()})
        assert belief.keys == [SIGNER.key]
        assert "not believed" in belief.trouble


def test_an_old_key_set_is_not_played_back(directory: Path) -> None:
    """A lower version, or the same, is passed over."""
    with agent(directory) as belief:
        old = key_set(2, SIGNER, NEXT).signed(SIGNER)
        belief.hear_keys({"envelope": key_set(3, NEXT).signed(SIGNER).as_plain()})
        belief.hear_keys({"envelope": old.as_plain()})
        assert belief.keys == [NEXT.key]


def test_without_pinned_keys_nothing_is_believed_at_all(directory: Path) -> None:
    """An agent that cannot verify does not start."""
    (directory / "pinned").unlink()
    with pytest.raises(ConfigurationError, match="no keys to trust"), agent(directory):
        pass
