"""The server's keys and their lives: announced, signing, trusted, retired.

```
 announce          rotate              rotate                retire
──────────► announced ──────► signing ──────► trusted ──────────────► retired
```

*announced*: agents trust it, and it signs nothing yet. *signing*: one key, always. *trusted*: it
signed before; agents that were away still know it. *retired*: no agent trusts it, its private half
is gone, and its public half is kept to read backups from its time.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ctherd.errors import InvalidDeclaration, NotFound
from ctherd.signing.envelope import Envelope, KeyId, Signer, Verifier, key_id
from ctherd.signing.key_set import KeySet


class KeyState(StrEnum):
    """Where a key is in its life."""

    ANNOUNCED = "announced"
    SIGNING = "signing"
    TRUSTED = "trusted"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """One key; *private* is None once it is retired, *since* (RFC 3339, UTC) is when it was made.

    Shape: both halves raw, 32 bytes.
    """

    public: bytes
    private: bytes | None
    state: KeyState
    since: str

    @property
    def id(self) -> KeyId:
        """What everybody calls it."""
        return key_id(self.public)

    @property
    def signer(self) -> Signer:
        """Signs with this key, which is not retired."""
        assert self.private is not None
        return Signer(Ed25519PrivateKey.from_private_bytes(self.private))

    def __repr__(self) -> str:
        return f"Key({self.id}, {self.state})"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys that a server has or had, oldest first; exactly one of them signs.

    Shape: *version* is that of the key set, and grows whenever the set changes.
    """

    version: int
    keys: tuple[Key, ...]

    @property
    def signing(self) -> Key:
        """The key that signs."""
        return next(each for each in self.keys if each.state is KeyState.SIGNING)

    @property
    def key_set(self) -> KeySet:
        """The keys that agents shall trust."""
        return KeySet(self.version, {each.id: each.public for each in self._live}, self.signing.id)

    def stated(self) -> Envelope:
        """State the key set under the oldest key that any agent may still know."""
        signed_before = [each for each in self._live if each.state is not KeyState.ANNOUNCED]
        return self.key_set.signed(signed_before[0].signer)

    def verifier(self, *, retired: bool = False) -> Verifier:
        """Return what trusts the keys of agents; with *retired*, those of old backups too."""
        trusted = self.keys if retired else self._live
        return Verifier({each.id: each.public for each in trusted})

    def announce(self, now: str) -> "KeyRing":
        """Let agents trust another key, before it signs anything.

        Raises: InvalidDeclaration if one is announced already.
        """
        if self._announced is not None:
            raise InvalidDeclaration(
                f"key {self._announced.id} is announced already",
                cure="`ctherd key rotate` lets it sign",
            )
        return self._next(*self.keys, _made(KeyState.ANNOUNCED, now))

    def rotate(self, now: str) -> "KeyRing":
        """Let the announced key sign, or else a new one; the one that signed stays trusted."""
        ring = self if self._announced is not None else self.announce(now)
        lives = {KeyState.SIGNING: KeyState.TRUSTED, KeyState.ANNOUNCED: KeyState.SIGNING}
        moved = (replace(each, state=lives.get(each.state, each.state)) for each in ring.keys)
        return self._next(*moved)

    def retire(self, key: KeyId) -> "KeyRing":
        """Let nobody trust *key* any more.

        Raises: NotFound; InvalidDeclaration if it signs, or is retired already.
        """
        old = next((each for each in self.keys if each.id == key), None)
        if old is None:
            raise NotFound(f"there is no key {key!r}", cure="`ctherd key list` shows them")
        if old.state in (KeyState.SIGNING, KeyState.RETIRED):
            raise InvalidDeclaration(
                f"key {key} is {old.state}, so it cannot be retired",
                cure="`ctherd key rotate` first" if old.state is KeyState.SIGNING else "",
            )
        gone = replace(old, private=None, state=KeyState.RETIRED)
        return self._next(*(gone if each is old else each for each in self.keys))

    @property
    def _live(self) -> list[Key]:
        return [each for each in self.keys if each.state is not KeyState.RETIRED]

    @property
    def _announced(self) -> Key | None:
        return next((each for each in self.keys if each.state is KeyState.ANNOUNCED), None)

    def _next(self, *keys: Key) -> "KeyRing":
        return KeyRing(self.version + 1, keys)


def new_ring(now: str) -> KeyRing:
    """Return a ring of one key, which signs."""
    return KeyRing(1, (_made(KeyState.SIGNING, now),))


def _made(state: KeyState, now: str) -> Key:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return Key(public, private.private_bytes_raw(), state, now)
