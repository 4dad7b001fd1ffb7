"""The server's keys: on disk, through their lives, and what agents make of it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import ConfigurationError, CtherdError, InvalidDeclaration, NotFound
from ctherd.signing.envelope import KeyId, SignatureRefused
from ctherd.signing.key_file import change_ring, load_or_make_ring, load_ring
from ctherd.signing.key_ring import KeyRing, KeyState, new_ring
from ctherd.signing.key_set import open_keys
from ctherd.signing.statements import Manifest, open_manifest

NOW = "2026-01-01T00:00:00Z"


def states(ring: KeyRing) -> list[str]:
    return [each.state.value for each in ring.keys]


def test_a_ring_survives_on_disk(tmp_path: Path) -> None:
    """What is made once is what every later start reads, through each change."""
    path = tmp_path / "keys"
    ring = load_or_make_ring(path, NOW)
    assert load_or_make_ring(path, NOW) == ring == load_ring(path)
    assert path.stat().st_mode & 0o777 == 0o600
    announced = change_ring(path, lambda ring: ring.announce(NOW))
    assert load_ring(path) == announced
    rotated = change_ring(path, lambda ring: ring.rotate(NOW))
    retired = change_ring(path, lambda ring: ring.retire(rotated.keys[0].id))
    assert load_ring(path) == retired
    assert states(retired) == ["retired", "signing"]


def test_a_refused_change_changes_nothing(tmp_path: Path) -> None:
    """An error leaves the file as it was."""
    path = tmp_path / "keys"
    ring = load_or_make_ring(path, NOW)
    with pytest.raises(InvalidDeclaration):
        change_ring(path, lambda ring: ring.retire(ring.signing.id))
    assert load_ring(path) == ring


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plain: plain.pop("version"),
        lambda plain: plain["keys"].clear(),
        lambda plain: plain["keys"].append(plain["keys"][0]),
        lambda plain: plain["keys"][0].update(private=None),
        lambda plain: plain["keys"][0].update(private="AA=="),
        lambda plain: plain["keys"][0].update(public="A" * 43 + "="),
        lambda plain: plain["keys"][0].update(state="unknown"),
    ],
)
def test_a_file_that_is_no_ring_is_refused_without_telling_what_it_holds(
    tmp_path: Path, spoil: object
) -> None:
    """Nothing is signed with a key that cannot be meant, and no message shows one."""
    path = tmp_path / "keys"
    load_or_make_ring(path, NOW)
    plain = json.loads(path.read_text())
    secret = plain["keys"][0]["private"]
    assert callable(spoil)
    spoil(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(ConfigurationError) as caught:
        load_ring(path)
    assert secret not in str(caught.value)
    assert secret not in repr(load_or_make_ring(tmp_path / "other", NOW))


def test_a_key_lives_announced_signing_trusted_retired() -> None:
    """Each step is the only way to the next, and each makes a new version of the set."""
    ring = new_ring(NOW)
    first = ring.signing.id
    announced = ring.announce(NOW)
    assert states(announced) == ["signing", "announced"]
    assert announced.signing.id == first
    with pytest.raises(InvalidDeclaration):
        announced.announce(NOW)
    rotated = announced.rotate(NOW)
    assert states(rotated) == ["trusted", "signing"]
    assert rotated.signing.id == announced.keys[1].id
    retired = rotated.retire(first)
    assert states(retired) == ["retired", "signing"]
    assert retired.keys[0].private is None
    versions = [each.version for each in (ring, announced, rotated, retired)]
    assert versions == sorted(set(versions))
    with pytest.raises(InvalidDeclaration):
        retired.retire(first)
    with pytest.raises(NotFound):
        retired.retire(KeyId("0" * 16))


def test_rotating_without_announcing_makes_a_new_key() -> None:
    """In an emergency nobody has to announce first."""
    assert states(new_ring(NOW).rotate(NOW)) == ["trusted", "signing"]


def test_a_retired_key_is_trusted_for_old_backups_only() -> None:
    """What it signed opens where that is asked for, and nowhere else."""
    ring = new_ring(NOW)
    manifest = Manifest("node", 1, 1).signed(ring.signing.signer)  # type: ignore[arg-type]
    later = ring.rotate(NOW).retire(ring.signing.id)
    assert open_manifest(later.verifier(retired=True), manifest).revision == 1
    with pytest.raises(SignatureRefused):
        open_manifest(later.verifier(), manifest)


@given(st.lists(st.sampled_from(["announce", "rotate", "retire"]), max_size=12), st.data())
def test_an_agent_that_slept_through_any_history_follows_while_its_key_is_trusted(
    steps: list[str], data: st.DataObject
) -> None:
    """An agent that heard of any earlier set accepts the present one, and then every document,
    unless all the signing keys that it knew were retired meanwhile."""
    rings = [new_ring(NOW)]
    for step in steps:
        try:
            rings.append(_stepped(rings[-1], step))
        except CtherdError:
            continue
    known = data.draw(st.sampled_from(rings)).key_set
    last = rings[-1]
    had_signed = {each.id for each in last.keys if each.state is not KeyState.ANNOUNCED}
    oldest = next(iter(each for each in last.key_set.keys if each in had_signed))
    if oldest not in known.keys:
        with pytest.raises(SignatureRefused):
            open_keys(known.verifier(), last.stated())
        return
    now_known = open_keys(known.verifier(), last.stated())
    assert now_known == last.key_set
    assert now_known.version > known.version or now_known == known
    signed = Manifest("node", 1, 1).signed(last.signing.signer)  # type: ignore[arg-type]
    open_manifest(now_known.verifier(), signed)


def _stepped(ring: KeyRing, step: str) -> KeyRing:
    if step == "retire":
        trusted = [each for each in ring.keys if each.state is KeyState.TRUSTED]
        return ring.retire(trusted[0].id) if trusted else ring
    return ring.announce(NOW) if step == "announce" else ring.rotate(NOW)
