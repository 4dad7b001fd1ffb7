"""The public keys that agents trust: pinned in a file first, then replaced by signed key sets.

A set is believed only if a key that is trusted already signed it and its version is higher, so that
keys can be rotated without touching any host, and an old set cannot be played back.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ctherd.errors import ConfigurationError, RemoteProtocolError
from ctherd.signing.canonical import Plain
from ctherd.signing.envelope import Envelope, KeyId, Signer, Verifier, key_id

KIND: Final = "keys"


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys that may sign, as raw public keys by id; *signing* is the one in use."""

    version: int
    keys: Mapping[KeyId, bytes]
    signing: KeyId

    def as_plain(self) -> Plain:
        """Return the set as JSON carries it, in `/v1/keys` and in the file that agents pin."""
        return {
            "version": self.version,
            "keys": {each: base64.b64encode(raw).decode() for each, raw in self.keys.items()},
            "signing": self.signing,
        }

    def signed(self, signer: Signer) -> Envelope:
        """Sign it, with the key that signed before."""
        return signer.sign({"kind": KIND, **self.as_plain()})

    def verifier(self) -> Verifier:
        """Return who trusts these keys."""
        return Verifier(self.keys)


def open_keys(verifier: Verifier, envelope: Envelope) -> KeySet:
    """Return the key set in *envelope*.

    Raises: SignatureRefused; RemoteProtocolError if a trusted key signed nonsense.
    """
    payload = verifier.open(envelope, KIND)
    try:
        return from_plain(payload)
    except ValueError as error:
        raise RemoteProtocolError(f"a signed key set that cannot be meant: {error}") from error


def read_pinned(path: Path) -> KeySet:
    """Return the key set that the file *path* pins; other members of its object are ignored.

    Raises: ConfigurationError.
    """
    try:
        return from_plain(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"these are no keys to trust: {error}",
            where=str(path),
            cure="get them from the server in a way that you trust: `ctherd key export`",
        ) from error


def from_plain(plain: Any) -> KeySet:
    """Return the key set that JSON carries as *plain*.

    Raises: ValueError.
    """
    try:
        keys = {KeyId(name): _raw(name, text) for name, text in plain["keys"].items()}
        version, signing = plain["version"], KeyId(plain["signing"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"version, keys and signing belong to a key set: {error!r}") from error
    if type(version) is not int or version < 1:
        raise ValueError(f"{version!r} is no version")
    if signing not in keys:
        raise ValueError(f"{signing!r} signs, but is not in the set")
    return KeySet(version, keys, signing)


def _raw(name: str, text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if len(raw) != 32 or key_id(raw) != name:
        raise ValueError(f"{name!r} is not the id of that key")
    return raw
