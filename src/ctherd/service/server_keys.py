"""The keys that this server signs with and believes, and the change from one ring to the next.

The order matters at every step, because a server may die between any two: what agents shall trust
is told before anything is signed with it, and a key is believed as long as anything bears its
signature. A start does again what an interrupted change left undone.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from ctherd.authz.audit.entry import AuditEntry, Decision
from ctherd.authz.caller import Caller
from ctherd.errors import ConfigurationError, Contended, CtherdError, RemoteProtocolError
from ctherd.service.committer import Committer
from ctherd.service.feed import CURRENT_KEYS
from ctherd.service.publish import Publisher, renew
from ctherd.service.records import DOCUMENTS, ROUTERS, read_envelope, write_envelope
from ctherd.signing.canonical import Plain
from ctherd.signing.envelope import KeyId, Signer, Verifier
from ctherd.signing.key_ring import KeyRing
from ctherd.signing.key_set import KeySet, open_keys
from ctherd.store.mirror import Mirror
from ctherd.store.port import ABSENT, Conflict, Expect, Put, Stored, Write

_log: Final = logging.getLogger(__name__)

_AT_ONCE: Final = 100
"""Statements in one commit: what follows waits for it."""

_TRIES: Final = 16

SIGNED: Final = (ROUTERS, DOCUMENTS)
"""Where the store has what a server signed, and must sign anew with another key."""

OPERATOR: Final = Caller("operator", None, frozenset(), "host")
"""Who acts on the server's own host, by its files."""


class ServerKeys:
    """What counts now, for everybody in this process who signs or verifies."""

    def __init__(self, ring: KeyRing, epoch: int) -> None:
        self.ring = ring
        self.epoch = epoch
        self._verifier = ring.verifier()
        self._publisher = Publisher(ring.signing.signer, epoch)

    def signer(self) -> Signer:
        """Return the one that signs."""
        return self._publisher.signer

    def verifier(self) -> Verifier:
        """Return what believes the keys of this server."""
        return self._verifier

    def publisher(self) -> Publisher:
        """Return what signs for hosts."""
        return self._publisher

    def believe_also(self, ring: KeyRing) -> None:
        """Believe the keys of *ring* besides."""
        self._verifier = Verifier({**self._verifier.publics, **ring.verifier().publics})

    def use(self, ring: KeyRing) -> None:
        """Sign as *ring* says, and believe its keys besides those that counted before."""
        self.believe_also(ring)
        self.ring = ring
        self._publisher = Publisher(ring.signing.signer, self.epoch)

    def settle(self) -> None:
        """Believe nobody but the ring that is in use."""
        self._verifier = self.ring.verifier()


class KeyChange:
    """Takes the store from one key ring to the next; *on_signer* hears of another signer."""

    def __init__(
        self,
        keys: ServerKeys,
        mirror: Mirror,
        committer: Committer,
        on_signer: Callable[[Signer], None],
    ) -> None:
        self._keys = keys
        self._mirror = mirror
        self._committer = committer
        self._on_signer = on_signer

    async def adopt(self, ring: KeyRing) -> int:
        """Publish the keys of *ring*, sign with it, and sign anew what bears another signature.

        Shape: returns how many statements cannot be believed, and stay as they are.
        Raises: ConfigurationError if the store knows a later ring; Contended, Unavailable.
        """
        self._keys.believe_also(ring)
        await self._publish(ring)
        self._keys.use(ring)
        self._on_signer(self._keys.signer())
        unsound = await self._renew_all()
        self._keys.settle()
        return unsound

    async def _publish(self, ring: KeyRing) -> None:
        stored = self._mirror.get(CURRENT_KEYS)
        known = self._known(stored, ring)
        if known == ring.key_set:
            return
        revision = stored.revision if stored else ABSENT
        await self._commit(
            [Expect(CURRENT_KEYS, revision)],
            [Put(CURRENT_KEYS, write_envelope(ring.stated()))],
            {"version": ring.version, "keys": [each.id for each in ring.keys]},
        )
        _log.info("key set %d is published; key %s signs", ring.version, ring.signing.id)

    def _known(self, stored: Stored | None, ring: KeyRing) -> KeySet | None:
        if stored is None:
            return None
        try:
            known = open_keys(ring.verifier(retired=True), read_envelope(stored.value))
        except CtherdError as error:
            raise ConfigurationError(
                f"the store was written with other keys than those of this server: {error}",
                cure="put back the file of signing keys that belongs to this store",
            ) from error
        if known.version > ring.version:
            raise ConfigurationError(
                f"the store knows key set {known.version}, and the file has {ring.version}: it is "
                "an old copy",
                cure="put back the last file of signing keys",
            )
        return known

    async def _renew_all(self) -> int:
        unsound: set[str] = set()
        for _ in range(_TRIES):
            old = [each for each in self._of_other_keys() if each.key not in unsound]
            if not old:
                return len(unsound)
            for group in _grouped(old):
                await self._renew(group, unsound)
        raise Contended("others kept writing with the old key")

    async def _renew(self, group: Sequence[Stored], unsound: set[str]) -> None:
        """Sign *group* anew; what somebody changed meanwhile is left to the next try."""
        writes: list[Write] = []
        expects: list[Expect] = []
        for stored in group:
            try:
                renewed = renew(
                    stored, self._keys.verifier(), self._keys.signer(), self._keys.epoch
                )
            except CtherdError as error:
                unsound.add(stored.key)
                _log.error("%s cannot be believed, and is not signed anew: %s", stored.key, error)
                continue
            if renewed is not None:
                writes.append(renewed)
                expects.append(Expect(stored.key, stored.revision))
        if writes:
            await self._commit(expects, writes, {"renewed": len(writes)})

    def _of_other_keys(self) -> Iterator[Stored]:
        signing = self._keys.ring.signing.id
        for prefix in SIGNED:
            for stored in self._mirror.under(prefix):
                if signed_by(stored) not in (None, signing):
                    yield stored

    async def _commit(
        self, expects: Sequence[Expect], writes: Sequence[Write], after: Plain
    ) -> None:
        entry = AuditEntry(
            caller=OPERATOR,
            address="",
            request_id="",
            action="ctherd:change_keys",
            decision=Decision.ALLOWED,
            after=after,
        )
        outcome = await self._committer.commit(expects, writes, entry)
        if isinstance(outcome, Conflict):
            _log.info("%s was changed meanwhile", outcome.key)


def signed_by(stored: Stored) -> KeyId | None:
    """Return the key that *stored* claims to be signed with; None for what is no statement."""
    try:
        return read_envelope(stored.value).key
    except RemoteProtocolError:
        return None


def _grouped(stored: Iterable[Stored]) -> Iterator[Sequence[Stored]]:
    each = iter(stored)
    while group := list(islice(each, _AT_ONCE)):
        yield group
