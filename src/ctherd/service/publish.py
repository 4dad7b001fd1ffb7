"""What a change of a router means for the hosts: which documents and tombstones are written.

A router that moves is withdrawn first and placed after: two hosts that both helped one router's
flows would open expectations in the one that no longer forwards them. So placements that it left
get tombstones at once and are *withdrawing* until their agents acknowledge, and those that it came
to are *held* until then. How long that may take is the business of whoever calls ``release``.

A place is free when its tombstone is acknowledged, not before: only then may another router come.
Every document that a host has of a router bears the router's serial.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ctherd.model.document import document
from ctherd.model.router import Placement, Router
from ctherd.service.records import (
    DOCUMENTS,
    ROUTERS,
    document_key,
    hinted,
    place_key,
    read_envelope,
    read_router,
    router_key,
    write_envelope,
    write_router,
)
from ctherd.signing.envelope import Envelope, Signer, Verifier
from ctherd.signing.statements import (
    HostDocument,
    Tombstone,
    Version,
    open_statement,
)
from ctherd.store.port import ABSENT, Delete, Expect, Put, Revision, Stored, Write


@dataclass(frozen=True, slots=True)
class Publication:
    """A change of one router, to be committed whole; *router* is the record it leaves, if any."""

    router: Router | None
    expects: tuple[Expect, ...]
    writes: tuple[Write, ...]

    def caused_by(self, request: str) -> tuple[Write, ...]:
        """Return the writes, with a hint for hosts beside each signature: whose request it was."""
        return tuple(
            Put(each.key, hinted(each.value, request))
            if isinstance(each, Put) and each.key.startswith(DOCUMENTS)
            else each
            for each in self.writes
        )


@dataclass(frozen=True, slots=True)
class Publisher:
    """Signs what hosts shall make true, in one epoch of the store."""

    signer: Signer
    epoch: int

    def declare(self, router: Router) -> Publication:
        """Publish a router that does not exist yet; its placements must be free."""
        return Publication(
            router,
            (Expect(router_key(router.id), ABSENT), *_are_free(router.placements)),
            (self._record(router), *_take(router, router.placements), *self._documents(router)),
        )

    def change(self, before: Router, revision: Revision, after: Router, now: str) -> Publication:
        """Publish *after*, where the store has *before* at *revision*.

        Shape: *after* is as its author wants it; its serial, *withdrawing* and *held* are worked
        out here. *now* is RFC 3339, UTC.
        """
        expects = [Expect(router_key(before.id), revision)]
        if _makes_true(before) == _makes_true(after):
            return Publication(after, tuple(expects), (self._record(after),))
        after = self._moved(before, after, now)
        left = [each for each in before.placements if each not in after.placements]
        came = [each for each in after.placements if each not in before.placements]
        new = [each for each in came if each not in before.withdrawing]
        return Publication(
            after,
            (*expects, *_are_free(new)),
            (
                self._record(after),
                *_take(after, new),
                *self._documents(after),
                *self._tombstones(after, [each for each in left if each not in before.held]),
                *_free(before, left),
            ),
        )

    def _moved(self, before: Router, after: Router, now: str) -> Router:
        """Work out who has to go before whom."""
        stays = set(after.placements)
        left = {each: now for each in before.placements if each not in {*stays, *before.held}}
        withdrawing = {**before.withdrawing, **left}
        has = set(before.placements) - set(before.held)
        held = tuple(each for each in after.placements if each not in has)
        if withdrawing.keys() <= stays:
            # Nobody else has to go: who was about to is simply told again that it may stay.
            withdrawing, held = {}, ()
        return replace(after, serial=before.serial + 1, withdrawing=withdrawing, held=held)

    def withdraw(self, before: Router, revision: Revision) -> Publication:
        """Delete a router; tombstones tell its hosts, and keep its places until they are heard."""
        published = [each for each in before.placements if each not in before.held]
        last = replace(before, serial=before.serial + 1)
        return Publication(
            None,
            (Expect(router_key(before.id), revision),),
            (
                Delete(router_key(before.id)),
                *self._tombstones(last, published),
                *_free(before, before.placements),
            ),
        )

    def acknowledge(
        self, router: Router | None, revision: Revision, tombstone: Stored, placement: Placement
    ) -> Publication:
        """Take note that *placement* has nothing of the router any more.

        Shape: *router* and *revision* as the store has them, None and ABSENT after a deletion;
        *tombstone* is the one that was obeyed, as the store has it.
        """
        expects = [Expect(tombstone.key, tombstone.revision)]
        writes: list[Write] = [Delete(tombstone.key)]
        if router is None or placement not in router.placements:
            writes.append(Delete(place_key(placement)))
        if router is None or placement not in router.withdrawing:
            return Publication(router, tuple(expects), tuple(writes))
        rest = _without(router.withdrawing, (placement,))
        others = _without(rest, router.placements)
        freed = self._settle(replace(router, withdrawing=rest), release=not others)
        expects.append(Expect(router_key(router.id), revision))
        return Publication(freed.router, tuple(expects), (*writes, *freed.writes))

    def release(self, router: Router, revision: Revision) -> Publication:
        """Place what is held, although not every host has acknowledged: it was waited enough."""
        freed = self._settle(router, release=True)
        return replace(freed, expects=(Expect(router_key(router.id), revision),))

    def _settle(self, router: Router, *, release: bool) -> Publication:
        if not (release and router.held):
            return Publication(router, (), (self._record(router),))
        rest = _without(router.withdrawing, router.placements)
        placed = replace(router, held=(), withdrawing=rest, serial=router.serial + 1)
        return Publication(placed, (), (self._record(placed), *self._documents(placed)))

    def _record(self, router: Router) -> Put:
        return Put(router_key(router.id), write_router(router, self.signer))

    def _documents(self, router: Router) -> list[Write]:
        helpers = router.helpers.values() if router.admin_state_up else ()
        assignments = [each.assignment for each in helpers]
        return [
            _signed(
                router,
                each,
                HostDocument(
                    each.host,
                    router.project,
                    Version(self.epoch, router.serial),
                    document(router.id, each.netns, assignments),
                ).signed(self.signer),
            )
            for each in router.placements
            if each not in router.held
        ]

    def _tombstones(self, router: Router, placements: Iterable[Placement]) -> list[Write]:
        version = Version(self.epoch, router.serial)
        return [
            _signed(
                router,
                each,
                Tombstone(each.host, router.project, version, router.id, each.netns).signed(
                    self.signer
                ),
            )
            for each in placements
        ]


def _signed(router: Router, placement: Placement, envelope: Envelope) -> Put:
    return Put(document_key(router.id, placement), write_envelope(envelope))


def renew(stored: Stored, verifier: Verifier, signer: Signer, epoch: int) -> Write | None:
    """Return *stored* signed anew: by another key, or in another epoch of the store.

    Shape: None for what bears no signature of its own.
    Raises: SignatureRefused, RemoteProtocolError for what no server of ours signed.
    """
    if stored.key.startswith(ROUTERS):
        return Put(stored.key, write_router(read_router(stored.value, verifier), signer))
    if not stored.key.startswith(DOCUMENTS):
        return None
    statement = open_statement(verifier, read_envelope(stored.value))
    version = Version(epoch, statement.version.serial)
    renewed = replace(statement, version=version).signed(signer)
    return Put(stored.key, write_envelope(renewed))


def _makes_true(router: Router) -> object:
    """Return all of *router* that its hosts can tell, the order of its helpers included."""
    helpers = tuple(each.assignment for each in router.helpers.values())
    return router.placements, helpers if router.admin_state_up else (), router.project


def _are_free(placements: Iterable[Placement]) -> list[Expect]:
    return [Expect(place_key(each), ABSENT) for each in placements]


def _take(router: Router, placements: Iterable[Placement]) -> list[Write]:
    return [Put(place_key(each), b'{"router":"%s"}' % router.id.encode()) for each in placements]


def _free(router: Router, left: Iterable[Placement]) -> list[Write]:
    """Give up places whose hosts never heard of *router*."""
    unheard = set(router.held) - router.withdrawing.keys()
    return [Delete(place_key(each)) for each in left if each in unheard]


def _without(
    withdrawing: Mapping[Placement, str], placements: Iterable[Placement]
) -> dict[Placement, str]:
    gone = set(placements)
    return {each: since for each, since in withdrawing.items() if each not in gone}
