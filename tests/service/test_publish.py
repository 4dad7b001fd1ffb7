"""Publishing: what hosts are told of a router's changes, and in which order it moves."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ctherd.model.assignment import Assignment, AssignmentId, OnRevoke
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.router import DeclaredHelper, HostName, Placement, ProjectId, Router
from ctherd.service.publish import Publication, Publisher, renew
from ctherd.service.records import (
    DOCUMENTS,
    PLACES,
    document_key,
    place_key,
    read_envelope,
    read_router,
    router_key,
    write_router,
)
from ctherd.signing.envelope import SignatureRefused, Signer, Verifier
from ctherd.signing.statements import HostDocument, Tombstone, Version, open_statement
from ctherd.store.port import ABSENT, Put, Revision, Stored
from tests.conftest import GOLDEN, Golden

SIGNER = Signer(Ed25519PrivateKey.generate())
TRUSTED = Verifier({SIGNER.key: SIGNER.public})
PUBLISHER = Publisher(SIGNER, epoch=1)
NOW = "2026-01-01T00:00:00Z"
A, B, C = [Placement(HostName(host), NetnsName("qrouter-1")) for host in "abc"]


def helper(port: int) -> DeclaredHelper:
    return DeclaredHelper(Assignment(AssignmentId(f"id-{port}"), "ftp", Protocol.TCP, port))


def helpers(*ports: int) -> dict[AssignmentId, DeclaredHelper]:
    return {each.assignment.id: each for each in map(helper, ports)}


ROUTER = Router(
    id=RouterId("r1"),
    project=ProjectId("blue"),
    name="edge",
    serial=1,
    revision_number=1,
    created_at=NOW,
    updated_at=NOW,
    placements=(A,),
    helpers=helpers(21),
)


def test_a_record_says_what_shall_become_of_flows() -> None:
    """It is read back as it was written, and a change of it alone is told to the hosts."""
    (old,) = ROUTER.helpers.values()
    for way in ({"on_revoke": OnRevoke.KILL}, {"adopt_flows": True}):
        new = replace(old, assignment=replace(old.assignment, **way))
        after = replace(ROUTER, helpers={new.assignment.id: new})
        assert read_router(write_router(after, SIGNER), TRUSTED) == after
        published = PUBLISHER.change(ROUTER, Revision(1), after, NOW)
        assert document_key(ROUTER.id, A) in {each.key for each in published.writes}


def test_a_record_of_before_is_spelled_as_ever(golden: Golden) -> None:
    """One in which nothing is unusual has the same bytes today, and is believed."""
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    written = json.loads(write_router(ROUTER, signer))
    golden("signing/router.json", json.dumps(written, indent=2) + "\n")
    old = (GOLDEN / "signing" / "router.json").read_bytes()
    assert read_router(old, Verifier({signer.key: signer.public})) == ROUTER


class Keys:
    """A store of one router: carries publications out, and says what hosts would be told."""

    def __init__(self) -> None:
        self.kept: dict[str, Stored] = {}
        self.revision = 0

    def commit(self, publication: Publication) -> None:
        for key, expected in publication.expects:
            stored = self.kept.get(key)
            assert (stored.revision if stored else ABSENT) == expected, key
        assert len({write.key for write in publication.writes}) == len(publication.writes)
        self.revision += 1
        for write in publication.writes:
            self.kept.pop(write.key, None)
            if isinstance(write, Put):
                self.kept[write.key] = Stored(write.key, write.value, Revision(self.revision))

    def told(self, placement: Placement) -> HostDocument | Tombstone | None:
        stored = self.kept.get(document_key(ROUTER.id, placement))
        return open_statement(TRUSTED, read_envelope(stored.value)) if stored else None

    @property
    def router(self) -> Router:
        return read_router(self.kept[router_key(ROUTER.id)].value, TRUSTED)

    @property
    def at(self) -> Revision:
        stored = self.kept.get(router_key(ROUTER.id))
        return stored.revision if stored else ABSENT

    def places(self) -> set[str]:
        return {key for key in self.kept if key.startswith(PLACES)}

    def change(self, **changes: object) -> None:
        after = replace(self.router, **changes)  # type: ignore[arg-type]
        self.commit(PUBLISHER.change(self.router, self.at, after, NOW))

    def acknowledge(self, placement: Placement) -> None:
        tombstone = self.kept[document_key(ROUTER.id, placement)]
        router = self.router if self.at else None
        self.commit(PUBLISHER.acknowledge(router, self.at, tombstone, placement))


@pytest.fixture
def keys() -> Keys:
    """A store in which ROUTER was declared at A."""
    made = Keys()
    made.commit(PUBLISHER.declare(ROUTER))
    return made


def ports(told: HostDocument | Tombstone | None) -> list[int]:
    assert isinstance(told, HostDocument)
    return [each.port for each in told.document.assignments.values()]


def test_a_declared_router_is_told_to_its_host(keys: Keys) -> None:
    """The host gets a signed document, the place is taken, the record reads back equal."""
    assert ports(keys.told(A)) == [21]
    assert keys.places() == {place_key(A)}
    assert keys.router == ROUTER


def test_a_new_helper_makes_a_new_version(keys: Keys) -> None:
    """What hosts can tell raises the serial that every document bears."""
    keys.change(helpers=helpers(21, 2121))
    told = keys.told(A)
    assert ports(told) == [21, 2121]
    assert told is not None and told.version == Version(1, 2)


def test_a_name_is_no_business_of_the_hosts(keys: Keys) -> None:
    """A renamed router is not signed anew."""
    before = keys.kept[document_key(ROUTER.id, A)]
    keys.change(name="core")
    assert keys.router.name == "core"
    assert keys.kept[document_key(ROUTER.id, A)] == before


def test_a_router_that_is_down_has_no_helper(keys: Keys) -> None:
    """The document stays, empty: everything of the router goes from its host."""
    keys.change(admin_state_up=False)
    assert ports(keys.told(A)) == []
    keys.change(admin_state_up=True)
    assert ports(keys.told(A)) == [21]


def test_a_move_withdraws_first_and_places_after(keys: Keys) -> None:
    """The new host hears nothing before the old one let go; then the old place is free."""
    keys.change(placements=(B,))
    assert isinstance(keys.told(A), Tombstone)
    assert keys.told(B) is None
    assert keys.places() == {place_key(A), place_key(B)}
    keys.acknowledge(A)
    assert ports(keys.told(B)) == [21]
    assert keys.told(A) is None
    assert keys.places() == {place_key(B)}
    assert keys.router.withdrawing == {} and keys.router.held == ()


def test_whoever_waited_enough_may_place(keys: Keys) -> None:
    """After the bounded wait the new host gets it; the old place stays taken until it is heard."""
    keys.change(placements=(B,))
    keys.commit(PUBLISHER.release(keys.router, keys.at))
    assert ports(keys.told(B)) == [21]
    assert keys.places() == {place_key(A), place_key(B)}
    keys.acknowledge(A)
    assert keys.places() == {place_key(B)}


def test_another_placement_need_not_wait(keys: Keys) -> None:
    """A router that is highly available is told to both hosts at once, in one version."""
    keys.change(placements=(A, B))
    first, second = keys.told(A), keys.told(B)
    assert first is not None and second is not None
    assert first.version == second.version == Version(1, 2)


def test_a_move_back_cancels_the_withdrawal(keys: Keys) -> None:
    """Before the old host acknowledged, it gets the document again, newer than the tombstone."""
    keys.change(placements=(B,))
    keys.change(placements=(A,))
    told = keys.told(A)
    assert ports(told) == [21]
    assert told is not None and told.version == Version(1, 3)
    assert keys.places() == {place_key(A)}
    assert keys.told(B) is None


def test_a_deleted_router_leaves_tombstones_that_keep_its_places(keys: Keys) -> None:
    """Nobody else gets the netns before its host has nothing of the router any more."""
    keys.commit(PUBLISHER.withdraw(keys.router, keys.at))
    assert isinstance(keys.told(A), Tombstone)
    assert keys.places() == {place_key(A)}
    keys.acknowledge(A)
    assert keys.kept == {}


def test_a_change_on_old_ground_is_a_conflict(keys: Keys) -> None:
    """Every publication expects the very record that it started from."""
    old, at = keys.router, keys.at
    keys.change(helpers={})
    with pytest.raises(AssertionError, match="router/r1"):
        keys.commit(PUBLISHER.change(old, at, replace(old, helpers=helpers(22)), NOW))


def test_an_edited_record_is_no_ground(keys: Keys) -> None:
    """Who edits the store is found out by the seal."""
    value = keys.kept[router_key(ROUTER.id)].value
    with pytest.raises(SignatureRefused):
        read_router(value.replace(b"2026", b"2025"), TRUSTED)


def test_a_stranger_cannot_seal_a_record(keys: Keys) -> None:
    """Whatever else it looks like."""
    with pytest.raises(SignatureRefused):
        read_router(write_router(ROUTER, Signer(Ed25519PrivateKey.generate())), TRUSTED)


def test_a_new_epoch_and_a_new_key_sign_everything_anew(keys: Keys) -> None:
    """Documents keep their serials in the new epoch, and only the new key is needed."""
    keys.change(placements=(B,))
    new = Signer(Ed25519PrivateKey.generate())
    by_new = Verifier({new.key: new.public})
    for stored in keys.kept.values():
        write = renew(stored, TRUSTED, new, epoch=2)
        if stored.key.startswith(PLACES):
            assert write is None
            continue
        assert isinstance(write, Put)
        if stored.key.startswith(DOCUMENTS):
            told = open_statement(by_new, read_envelope(write.value))
            assert told.version == Version(2, 2)
        else:
            assert read_router(write.value, by_new) == keys.router


class Moves(RuleBasedStateMachine):
    """Whatever happens in whatever order, no host is told to help what another still helps."""

    @initialize()
    def declare(self) -> None:
        self.keys = Keys()
        self.keys.commit(PUBLISHER.declare(ROUTER))
        self.heard: set[Placement] = {A}

    @precondition(lambda self: self.keys.at)
    @rule(placements=st.sets(st.sampled_from([A, B, C])))
    def place(self, placements: set[Placement]) -> None:
        self.keys.change(placements=tuple(sorted(placements)))

    @precondition(lambda self: self.keys.at)
    @rule(wanted=st.sets(st.integers(1, 3)))
    def declare_helpers(self, wanted: set[int]) -> None:
        self.keys.change(helpers=helpers(*wanted))

    @precondition(lambda self: self.keys.at)
    @rule()
    def withdraw(self) -> None:
        self.keys.commit(PUBLISHER.withdraw(self.keys.router, self.keys.at))

    @rule(placement=st.sampled_from([A, B, C]))
    def follow(self, placement: Placement) -> None:
        told = self.keys.told(placement)
        if isinstance(told, HostDocument):
            self.heard.add(placement)
        if isinstance(told, Tombstone):
            self.heard.discard(placement)
            self.keys.acknowledge(placement)

    @invariant()
    def documents_bear_the_serial(self) -> None:
        for placement in (A, B, C):
            told = self.keys.told(placement)
            if isinstance(told, HostDocument):
                assert told.version.serial == self.keys.router.serial

    @invariant()
    def whoever_has_something_is_told_the_truth(self) -> None:
        """A host that has the router is told its document or its tombstone, never nothing."""
        for placement in self.heard:
            assert self.keys.told(placement) is not None

    @invariant()
    def nobody_comes_before_everybody_went(self) -> None:
        if not self.keys.at:
            return
        router = self.keys.router
        for placement in router.placements:
            is_told = isinstance(self.keys.told(placement), HostDocument)
            assert is_told == (placement not in router.held)
        assert not router.held or router.withdrawing.keys() - set(router.placements)

    @invariant()
    def places_are_taken_while_somebody_may_use_them(self) -> None:
        wanted = self.keys.router.placements if self.keys.at else ()
        taken = {place_key(each) for each in (*wanted, *self.heard)}
        assert taken <= self.keys.places()


TestMoves = Moves.TestCase
TestMoves.settings = settings(max_examples=50, stateful_step_count=15, deadline=None)
