"""An envelope: a payload, who signed it, and the signature over exactly those bytes.

What the payload means is not known here; its *kind* keeps one sort of statement from being passed
off as another.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NewType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ctherd.errors import CtherdError, RemoteProtocolError
from ctherd.signing.canonical import Plain, read, spell

KeyId = NewType("KeyId", str)
"""The first 16 hexadecimal digits of the SHA-256 of a raw public key."""

_CONTEXT: Final = b"ctherd-signed-v1\n"
"""Precedes every payload, so that no signature of ours fits any other protocol, nor the reverse."""


class SignatureRefused(CtherdError):
    """It is not signed by a key that is trusted here, or not as it stands; nothing was applied."""

    code = "signature"


class Envelope(NamedTuple):
    """A signed payload.

    Shape: *payload* is the canonical spelling of an object with a string ``kind``; *signature* is
    base64 of Ed25519 over "ctherd-signed-v1", a line feed, and the payload in ASCII.
    """

    payload: str
    key: KeyId
    signature: str

    def as_plain(self) -> Plain:
        """Return the envelope as JSON carries it."""
        return {"payload": self.payload, "key": self.key, "signature": self.signature}


def from_plain(value: Any) -> Envelope:
    """Return the envelope that JSON carries as *value*.

    Raises: RemoteProtocolError.
    """
    if not isinstance(value, dict) or not all(
        isinstance(value.get(name), str) for name in Envelope._fields
    ):
        raise RemoteProtocolError("this is not an envelope: payload, key and signature are strings")
    return Envelope(value["payload"], KeyId(value["key"]), value["signature"])


class Signer:
    """Signs with one private key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.key = key_id(self.public)

    def sign(self, payload: Plain) -> Envelope:
        """Sign *payload*, whose ``kind`` says what it is."""
        assert isinstance(payload.get("kind"), str)
        text = spell(payload)
        signature = self._private.sign(_CONTEXT + text.encode("ascii"))
        return Envelope(text, self.key, base64.b64encode(signature).decode("ascii"))


class Verifier:
    """Trusts a set of public keys, and nobody else.

    Shape: *publics* are raw keys of 32 bytes each, by their ids.
    Raises: ValueError on construction for bytes that are no key.
    """

    def __init__(self, publics: Mapping[KeyId, bytes]) -> None:
        self.publics = dict(publics)
        self._keys = {
            key: Ed25519PublicKey.from_public_bytes(raw) for key, raw in self.publics.items()
        }

    def open(self, envelope: Envelope, *kinds: str) -> Plain:
        """Return the payload, which is of one of *kinds* and signed by a trusted key.

        Raises: SignatureRefused.
        """
        trusted = self._keys.get(envelope.key)
        if trusted is None:
            raise SignatureRefused(
                f"key {envelope.key[:32]!r} is not among those trusted here",
                cure="compare `ctherd key list` on the server with the keys that this agent pins",
            )
        try:
            signature = base64.b64decode(envelope.signature, validate=True)
            trusted.verify(signature, _CONTEXT + envelope.payload.encode("ascii"))
            payload = read(envelope.payload)
        except (InvalidSignature, ValueError, RemoteProtocolError) as error:
            raise SignatureRefused("the signature does not fit what it came with") from error
        if payload.get("kind") not in kinds:
            expected = " or ".join(kinds)
            raise SignatureRefused(f"this is a signed {payload.get('kind')!r}, and no {expected}")
        return payload


def key_id(public: bytes) -> KeyId:
    """Return the id of a raw public key."""
    return KeyId(hashlib.sha256(public).hexdigest()[:16])
