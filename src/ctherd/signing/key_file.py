"""The server's key ring on disk: one file of mode 0600, wholly old or wholly new."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ctherd.errors import ConfigurationError, NotFound
from ctherd.private_file import create_private, only_writer, read_private, replace_private
from ctherd.signing.key_ring import Key, KeyRing, KeyState, new_ring

KEY_FILE: Final = "signing-keys.json"


def load_ring(path: Path) -> KeyRing:
    """Read the key ring.

    Raises: NotFound; ConfigurationError if others may read the file, or if it is no key ring.
    """
    try:
        return _ring(json.loads(read_private(path)))
    except (KeyError, TypeError, ValueError) as error:
        # What is in the file is not for any message.
        raise ConfigurationError(
            "this is not a key ring", where=str(path), cure="restore the file from a safe copy"
        ) from error


def load_or_make_ring(path: Path, now: str) -> KeyRing:
    """Read the key ring, or make one with a new key; *now* is RFC 3339, UTC.

    Raises: ConfigurationError.
    """
    try:
        return load_ring(path)
    except NotFound:
        ring = new_ring(now)
    try:
        create_private(path, _spelled(ring))
    except FileExistsError:
        return load_ring(path)  # Somebody was faster.
    return ring


def change_ring(path: Path, change: Callable[[KeyRing], KeyRing]) -> KeyRing:
    """Put what *change* makes of the ring in its place, and return it.

    Raises: as load_ring, and whatever *change* raises; the file is as it was then.
    """
    with only_writer(path.parent):
        ring = change(load_ring(path))
        replace_private(path, _spelled(ring))
    return ring


def _spelled(ring: KeyRing) -> bytes:
    keys = [
        {
            "id": each.id,
            "state": each.state.value,
            "since": each.since,
            "public": _text(each.public),
            "private": None if each.private is None else _text(each.private),
        }
        for each in ring.keys
    ]
    return json.dumps({"version": ring.version, "keys": keys}, indent=2).encode() + b"\n"


def _ring(plain: Any) -> KeyRing:
    ring = KeyRing(int(plain["version"]), tuple(_key(each) for each in plain["keys"]))
    if [each.state for each in ring.keys].count(KeyState.SIGNING) != 1:
        raise ValueError("exactly one key must sign")
    return ring


def _key(plain: Any) -> Key:
    private = None if plain["private"] is None else _bytes(plain["private"])
    key = Key(_bytes(plain["public"]), private, KeyState(plain["state"]), str(plain["since"]))
    if (private is None) != (key.state is KeyState.RETIRED):
        raise ValueError("a key has its private half until it is retired")
    if private is not None and _public(private) != key.public:
        raise ValueError("the two halves of a key do not fit")
    return key


def _public(private: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
