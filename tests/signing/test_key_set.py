"""Key sets: who may replace whom, and what is no key set."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ctherd.errors import ConfigurationError, RemoteProtocolError
from ctherd.signing.envelope import SignatureRefused, Signer, Verifier
from ctherd.signing.key_set import KeySet, open_keys, read_pinned

OLD, NEW = (Signer(Ed25519PrivateKey.generate()) for _ in range(2))
SET = KeySet(2, {OLD.key: OLD.public, NEW.key: NEW.public}, NEW.key)


def test_a_set_is_believed_if_a_trusted_key_signed_it() -> None:
    """The key that signed before hands over; the new one cannot introduce itself."""
    trusted = Verifier({OLD.key: OLD.public})
    assert open_keys(trusted, SET.signed(OLD)) == SET
    with pytest.raises(SignatureRefused):
        open_keys(trusted, SET.signed(NEW))


def test_what_is_pinned_is_read_from_a_file(tmp_path: Path) -> None:
    """The file is the set as `/v1/keys` shows it."""
    path = tmp_path / "server-keys.json"
    path.write_text(json.dumps({**SET.as_plain(), "envelope": {}}))
    assert read_pinned(path) == SET


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 0},
        {"version": True},
        {"version": "2"},
        {"keys": {}},
        {"keys": []},
        {"keys": {OLD.key: "AAAA", NEW.key: "AAAA"}},
        {"keys": {OLD.key: 1}},
        {"signing": "0123456789abcdef"},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    """No half of a key set is ever trusted, signed or pinned."""
    plain = SET.as_plain() | wrong
    with pytest.raises(RemoteProtocolError):
        open_keys(Verifier(SET.keys), NEW.sign({"kind": "keys", **plain}))
    path = tmp_path / "server-keys.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(ConfigurationError, match="server-keys"):
        read_pinned(path)


def test_a_missing_or_broken_file_is_the_operators_affair(tmp_path: Path) -> None:
    """The error names the file and the cure."""
    path = tmp_path / "server-keys.json"
    for text in (None, "", "[]", "{}"):
        if text is not None:
            path.write_text(text)
        with pytest.raises(ConfigurationError, match="ctherd key export"):
            read_pinned(path)
