"""What the nf_tables dataplane promises, over the scripted kernel and over the real one."""

import errno
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import cast

import pytest

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.dataplane import NamespaceOpener, NftablesDataplane
from ctherd.errors import CtherdError, DataplaneError, NetnsAbsent
from ctherd.lab.cleanup import namespaces
from ctherd.lab.namespace import NETNS_DIR
from ctherd.model.assignment import ANY, AssignmentKey, Destinations, collapse, parse_prefix
from ctherd.model.catalog import Family, Protocol
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.observation import Observation, Ownership, Tag, Unchanged
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import Element, Operation, Request, TableFlag
from ctherd.netns.directory import NetnsDirectory
from ctherd.plan.diff import Change, Verb
from ctherd.plan.plan import make_plan
from ctherd.ports import Committed, Moved, Observed, ObserveRequest, Outcome, Transaction
from ctherd.testing.helper_matrix import LINUX_6_18
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns_directory import FakeNetnsDirectory

FTP = AssignmentKey(Protocol.TCP, 21, "ftp")
FTP_2121 = AssignmentKey(Protocol.TCP, 2121, "ftp")
TFTP = AssignmentKey(Protocol.UDP, 69, "tftp")
SIP = AssignmentKey(Protocol.UDP, 5060, "sip")
IRC = AssignmentKey(Protocol.TCP, 6667, "irc")
# No declaration can say this, for the catalog knows that no kernel has it.
TFTP_ON_TCP = AssignmentKey(Protocol.TCP, 69, "tftp")

TAG = Tag("6d9df6a4-6f0c-44b4-9a4b-1b7a7d9f4f60")
OTHER_TAG = "00000000-6f0c-44b4-9a4b-1b7a7d9f4f60"
V4 = collapse([parse_prefix("203.0.113.0/24")])
OTHER_V4 = collapse([parse_prefix("198.51.100.7"), parse_prefix("198.51.100.64/26")])
V6 = collapse([parse_prefix("2001:db8::/32")])
MIXED = (*V4, *V6)

# What ctherd itself never asks for, and others do.
_DELCHAIN = cast(Operation, 5)
_DELRULE = cast(Operation, 8)
_DELSET = cast(Operation, 11)


@dataclass
class World:
    """One netns of some kernel, and whoever works in it."""

    opener: NamespaceOpener
    netns: NetnsName
    stack: ExitStack
    tag: Tag = TAG

    def dialogue(self) -> Dialogue:
        """Another process, which has a socket of its own."""
        opened = self.opener.open(self.netns)
        self.stack.callback(opened.close)
        return Dialogue(opened.transport, self.netns)

    def stranger(self, *requests: Request) -> None:
        """Let another process commit something."""
        assert self.dialogue().commit(requests, None) == []

    def touch(self) -> None:
        """Let another process commit something that does not concern us."""
        unrelated = nft.new_table("unrelated", TableFlag(0), "", exclusive=True)
        self.stranger(unrelated, nft.del_table("unrelated"))

    def contents(self) -> list[bytes]:
        """Everything in the table of our name, handles included, as the kernel writes it."""
        dialogue = self.dialogue()
        table = layout.TABLE
        found = []
        for operation, body in (
            (Operation.GETCHAIN, nft.object_table(table)),
            (Operation.GETRULE, nft.object_table(table)),
            (Operation.GETSET, nft.object_table(table)),
            (Operation.GETOBJ, nft.object_table(table)),
        ):
            for message in dialogue.dump(operation, body):
                if b"ctherd\0" in bytes(message.body):
                    found.append(bytes(message.body[4:]))
        return found

    def table_exists(self) -> bool:
        return self.dialogue().ask(Operation.GETTABLE, nft.table_name(layout.TABLE)) is not None


@dataclass
class Router:
    """A dataplane at work in one netns, as the reconciler uses it."""

    world: World
    dataplane: NftablesDataplane
    seen: Observation | None = None
    managed: dict[AssignmentKey, Destinations] = field(default_factory=dict)

    def ask(self, known_generation: int | None = None) -> Observed:
        request = ObserveRequest(self.world.netns, self.world.tag, known_generation)
        (answer,) = self.dataplane.observe([request])
        return answer

    def look(self) -> Observation:
        """Read everything anew."""
        answer = self.ask()
        assert isinstance(answer, Observation), answer
        self.seen = answer
        return answer

    def commit(
        self, *changes: Change, repair: bool = False, claim: bool = False, at: int | None = None
    ) -> Outcome:
        assert self.seen is not None
        generation = self.seen.generation if at is None else at
        (outcome,) = self.dataplane.commit(
            [Transaction(self.world.netns, self.world.tag, generation, changes, repair, claim)]
        )
        if isinstance(outcome, Committed):
            self.seen = self.seen._replace(generation=outcome.generation)
        return outcome

    def converge(self, desired: Mapping[AssignmentKey, Destinations]) -> Committed:
        """Observe, plan and commit once."""
        seen = self.look()
        guards = self.dataplane.capabilities().guards
        plan = make_plan(*(RouterId("r"), desired, desired, seen), in_sync=True, guard_place=guards)
        outcome = self.commit(*plan.kernel_changes, repair=bool(plan.repairs), claim=plan.claim)
        assert isinstance(outcome, Committed), outcome
        return outcome

    def has(self, desired: Mapping[AssignmentKey, Destinations]) -> None:
        """Check that the kernel holds *desired* and nothing else in our place."""
        seen = self.look()
        assert dict(seen.live) == dict(desired)
        assert seen.damage == ()
        assert seen.ownership is (Ownership.OURS if desired else Ownership.ABSENT)


def create(key: AssignmentKey, destinations: Destinations = ANY) -> Change:
    return Change(Verb.CREATE, key, None, destinations)


def delete(key: AssignmentKey) -> Change:
    return Change(Verb.DELETE, key, ANY, None)


def succeed(outcome: Outcome) -> Committed:
    assert isinstance(outcome, Committed), outcome
    assert outcome.refused == {}
    return outcome


@pytest.fixture(params=["scripted", pytest.param("real", marks=pytest.mark.root)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A fresh netns."""
    with ExitStack() as stack:
        netns = NetnsName(f"ctest-{secrets.token_hex(6)}")
        opener: NamespaceOpener
        if request.param == "real":
            stack.enter_context(namespaces([netns]))
            opener = NetnsDirectory(NETNS_DIR)
        else:
            kernel = FakeKernel()
            kernel.create(netns)
            opener = FakeNetnsDirectory(kernel)
        yield World(opener, netns, stack)


MakeRouter = Callable[..., Router]


def make_router(world: World, *, own_table: bool = True) -> Router:
    dataplane = NftablesDataplane(world.opener, own_table=own_table)
    world.stack.callback(dataplane.release, [world.netns])
    return Router(world, dataplane)


@pytest.fixture
def router(world: World) -> Router:
    """A router whose table the kernel guards."""
    return make_router(world)


@pytest.fixture
def unguarded(world: World) -> Router:
    """A router whose table anybody may change."""
    return make_router(world, own_table=False)


@pytest.fixture(params=["guarded", "unguarded"])
def either(request: pytest.FixtureRequest, world: World) -> Router:
    """A router of each kind."""
    return make_router(world, own_table=request.param == "guarded")


# -- making assignments true -----------------------------------------------------------------------

STATES: Sequence[Mapping[AssignmentKey, Destinations]] = (
    {FTP: ANY},
    {FTP: V4},
    {FTP: V6},
    {FTP: MIXED, FTP_2121: ANY},
    {FTP: OTHER_V4, TFTP: V6, SIP: ANY, IRC: V4},
    {AssignmentKey(Protocol.TCP, port, "ftp"): ANY for port in range(1, 2500)},
)


@pytest.mark.parametrize("desired", STATES, ids=range(len(STATES)))
def test_what_is_created_is_observed(
    either: Router, desired: Mapping[AssignmentKey, Destinations]
) -> None:
    """Whatever is committed is read back equal, with no damage, by one commit."""
    assert either.look().ownership is Ownership.ABSENT
    succeed(either.commit(*(create(key, scope) for key, scope in desired.items())))
    either.has(desired)


@pytest.mark.parametrize("after", STATES, ids=range(len(STATES)))
@pytest.mark.parametrize("before", STATES, ids=range(len(STATES)))
def test_every_state_leads_to_every_other(
    either: Router,
    before: Mapping[AssignmentKey, Destinations],
    after: Mapping[AssignmentKey, Destinations],
) -> None:
    """One commit leads from any state to any other, whichever maps come or go."""
    either.converge(before)
    either.converge(after)
    either.has(after)


def test_a_delta_does_not_make_the_table_anew(either: Router) -> None:
    """Adding and removing one of many leaves chains, rules and maps as they were."""
    either.converge({FTP: ANY, TFTP: ANY})
    before = either.world.contents()
    succeed(either.commit(create(SIP)))
    succeed(either.commit(delete(SIP)))
    assert either.world.contents() == before


def test_destinations_are_replaced(either: Router) -> None:
    """Old destinations go, new ones come, and those in both stay: in one commit."""
    either.converge({FTP: (*V4, *OTHER_V4)})
    succeed(either.commit(Change(Verb.REPLACE, FTP, None, collapse((*V4, *V6)))))
    either.has({FTP: MIXED})
    succeed(either.commit(Change(Verb.REPLACE, FTP, MIXED, ANY)))
    either.has({FTP: ANY})


def test_the_last_prefix_map_goes(either: Router) -> None:
    """A map for prefixes, and its rules, exist only while an assignment needs them."""
    either.converge({FTP: ANY, TFTP: V4})
    with_map = len(either.world.contents())
    succeed(either.commit(delete(TFTP)))
    either.has({FTP: ANY})
    # The map, its two rules, and the object of tftp.
    assert len(either.world.contents()) == with_map - 4


def test_the_last_assignment_takes_the_table_along(either: Router) -> None:
    """Where nothing is assigned there is no table, so conntrack is not switched on for nothing."""
    either.converge({FTP: V4, TFTP: ANY})
    succeed(either.commit(delete(FTP), delete(TFTP)))
    assert not either.world.table_exists()
    either.has({})
    succeed(either.commit(create(TFTP)))
    either.has({TFTP: ANY})


def test_families_are_what_the_kernel_made(either: Router) -> None:
    """A helper that the kernel has for IPv4 only is told as such, at commit and on reading."""
    either.look()
    made = succeed(either.commit(create(FTP), create(IRC))).families
    expected = {("ftp", Protocol.TCP): frozenset(Family), ("irc", Protocol.TCP): {Family.IPV4}}
    assert made == expected
    assert either.look().families == expected


# -- the generation --------------------------------------------------------------------------------


def test_nothing_new_is_not_read_again(either: Router) -> None:
    """At a known generation the answer is Unchanged, also right after a commit."""
    either.look()
    generation = succeed(either.commit(create(FTP))).generation
    assert either.ask(generation) == Unchanged(either.world.netns, generation)


def test_a_guarded_table_stands_at_any_generation(router: Router) -> None:
    """While the kernel guards it, others may commit what they like: ours is unchanged."""
    router.converge({FTP: ANY})
    generation = router.look().generation
    router.world.touch()
    answer = router.ask(generation)
    assert type(answer) is Unchanged and answer.generation > generation


def test_an_unguarded_table_is_read_again(unguarded: Router) -> None:
    """Without the guard any commit may have been a change to our table."""
    unguarded.converge({FTP: ANY})
    generation = unguarded.look().generation
    unguarded.world.touch()
    assert isinstance(unguarded.ask(generation), Observation)


def test_an_unguarded_commit_that_comes_late_does_nothing(unguarded: Router) -> None:
    """Somebody else committed since the observation: Moved, and the ruleset is as it was."""
    unguarded.converge({FTP: ANY})
    unguarded.look()
    before = unguarded.world.contents()
    unguarded.world.touch()
    assert unguarded.commit(create(TFTP)) == Moved(unguarded.world.netns)
    assert unguarded.world.contents() == before
    unguarded.look()
    succeed(unguarded.commit(create(TFTP)))
    unguarded.has({FTP: ANY, TFTP: ANY})


def test_a_guarded_commit_needs_no_generation(router: Router) -> None:
    """However often others commit, a change to a guarded table happens at the first try."""
    router.converge({FTP: ANY})
    router.look()
    router.world.touch()
    outcome = succeed(router.commit(create(TFTP)))
    assert outcome.guarded
    assert outcome.generation == router.look().generation
    router.has({FTP: ANY, TFTP: ANY})


def test_a_first_commit_needs_no_generation(either: Router) -> None:
    """The creation is exclusive, so that unrelated commits do not stand in its way."""
    either.look()
    either.world.touch()
    succeed(either.commit(create(FTP)))
    either.has({FTP: ANY})


def test_a_table_that_came_in_between_is_not_touched(either: Router) -> None:
    """Somebody made a table of our name after we looked: Moved, and theirs stays."""
    either.look()
    either.world.stranger(nft.new_table(layout.TABLE, TableFlag(0), "theirs", exclusive=True))
    assert either.commit(create(FTP)) == Moved(either.world.netns)
    assert either.look().ownership is Ownership.FOREIGN


def test_a_plan_of_an_old_observation_is_not_carried_out(unguarded: Router) -> None:
    """A transaction names the observation that it was planned from."""
    old = unguarded.look().generation
    unguarded.world.touch()
    unguarded.look()
    assert unguarded.commit(create(FTP), at=old) == Moved(unguarded.world.netns)


# -- whose table it is -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comment", "holder"),
    [
        ("", "table inet ctherd does not bear our mark"),
        ("ours, honestly", "table inet ctherd does not bear our mark"),
        ("ctherd", "table inet ctherd does not bear our mark"),
        (f"ctherd {OTHER_TAG}", f"table inet ctherd bears the mark {OTHER_TAG}, which is not"),
    ],
)
def test_a_table_without_our_mark_is_foreign(either: Router, comment: str, holder: str) -> None:
    """No mark, or a forged one: it is told who has the place, and nothing is touched."""
    world = either.world
    world.stranger(
        nft.new_table(layout.TABLE, TableFlag(0), comment, exclusive=True),
        nft.new_base_chain(layout.TABLE, "prerouting", nft.HOOK_PREROUTING, 0),
        nft.new_ct_helper(layout.TABLE, "ftp-tcp", "ftp", 6),
    )
    before = world.contents()
    seen = either.look()
    assert (seen.ownership, dict(seen.live), seen.damage) == (Ownership.FOREIGN, {}, ())
    assert seen.holder.startswith(holder)
    for repair in (False, True):
        assert either.commit(create(FTP), repair=repair, claim=repair) == Moved(world.netns)
    assert world.contents() == before


def test_without_a_tag_everything_is_foreign(either: Router) -> None:
    """Who never marked anything here owns nothing here, not even what bears some mark."""
    world = either.world
    world.stranger(nft.new_table(layout.TABLE, TableFlag(0), layout.mark(TAG), exclusive=True))
    (answer,) = either.dataplane.observe([ObserveRequest(world.netns, None)])
    assert isinstance(answer, Observation) and answer.ownership is Ownership.FOREIGN


def test_our_mark_on_a_table_that_another_socket_claims(world: World) -> None:
    """The mark is right but the kernel guards it for somebody else: FOREIGN, told by whom."""
    first, second = make_router(world), make_router(world)
    first.converge({FTP: ANY})
    seen = second.look()
    assert seen.ownership is Ownership.FOREIGN
    transport = first.dataplane.transport(world.netns)
    assert transport is not None
    assert seen.holder == f"table inet ctherd is claimed by netlink port {transport.portid}"
    assert second.commit(create(TFTP)) == Moved(world.netns)
    first.has({FTP: ANY})


def test_the_guard_keeps_others_out(router: Router) -> None:
    """The kernel refuses everybody else's change to a guarded table."""
    router.converge({FTP: ANY})
    errors = router.world.dialogue().commit([nft.del_table(layout.TABLE)], None)
    assert [each.errno for each in errors] == [errno.EPERM]
    router.has({FTP: ANY})


# -- the guard comes and goes ----------------------------------------------------------------------


def test_an_orphan_is_claimed_as_it_is(world: World) -> None:
    """What a dead agent left works on; its successor guards it again and makes nothing anew."""
    first = make_router(world)
    first.converge({FTP: ANY, TFTP: V4})
    before = world.contents()
    first.dataplane.release([world.netns])
    second = make_router(world)
    seen = second.look()
    assert (dict(seen.live), seen.guarded) == ({FTP: ANY, TFTP: V4}, False)
    assert succeed(second.commit(claim=True)).guarded
    assert world.contents() == before
    assert second.look().guarded


def test_an_orphan_is_claimed_and_changed_in_one_commit(world: World) -> None:
    """A claim needs no commit of its own."""
    first = make_router(world)
    first.converge({FTP: ANY})
    first.dataplane.release([world.netns])
    second = make_router(world)
    assert second.converge({FTP: ANY, TFTP: ANY}).guarded
    second.has({FTP: ANY, TFTP: ANY})


def test_a_plain_table_becomes_a_guarded_one(world: World) -> None:
    """A table made without the guard cannot be claimed, so it is made anew in one commit."""
    plain = make_router(world, own_table=False)
    plain.converge({FTP: ANY, TFTP: V6})
    plain.dataplane.release([world.netns])
    owner = make_router(world)
    assert owner.converge({FTP: ANY, TFTP: V6}).guarded
    owner.has({FTP: ANY, TFTP: V6})
    assert owner.look().guarded


def test_a_guarded_table_is_kept_by_one_who_does_not_guard(world: World) -> None:
    """Switching own_table off changes nothing that works."""
    first = make_router(world)
    first.converge({FTP: ANY})
    first.dataplane.release([world.netns])
    plain = make_router(world, own_table=False)
    plain.has({FTP: ANY})
    succeed(plain.commit(create(TFTP)))
    plain.has({FTP: ANY, TFTP: ANY})


def test_a_kernel_without_persistent_tables() -> None:
    """Before Linux 6.9 the table is unguarded, and outlives the agent all the same."""
    kernel = FakeKernel(persist=False)
    kernel.create("old")
    with ExitStack() as stack:
        world = World(FakeNetnsDirectory(kernel), NetnsName("old"), stack)
        router = make_router(world)
        assert not router.dataplane.capabilities().guards
        assert not router.converge({FTP: ANY, TFTP: V4}).guarded
        router.dataplane.release([world.netns])
        router.has({FTP: ANY, TFTP: V4})


# -- damage ----------------------------------------------------------------------------------------

_UDP_2121 = nft.u8_key(17) + nft.u16_key(2121)
_TCP_AND_UDP = AssignmentKey(Protocol.TCP, 69, "ftp")

VANDALISM: Mapping[str, Request] = {
    "a base chain": nft.new_base_chain(layout.TABLE, "theirs", nft.HOOK_PREROUTING, 0),
    "a rule": nft.new_rule(layout.TABLE, "output", layout.rule_expressions(layout.ANY_MAP)),
    "an object": nft.new_ct_helper(layout.TABLE, "theirs", "ftp", 6),
    "an object of ours that nothing uses": nft.new_ct_helper(layout.TABLE, "sip-udp", "sip", 17),
    "a map": nft.new_object_map(layout.TABLE, "theirs", (12, 13), (1, 2), interval=False),
    "a map of ours that nothing uses": nft.new_object_map(
        layout.TABLE, "assign6", layout.IPV6_MAP.types, layout.IPV6_MAP.lengths, interval=True
    ),
    "an element": nft.new_elements(layout.TABLE, "assign", [Element(_UDP_2121, None, "ftp-tcp")])[
        0
    ],
    "the rules of a chain are gone": Request(
        _DELRULE, 0, nft.rule_place(layout.TABLE, "prerouting")
    ),
}


@pytest.mark.parametrize("what", VANDALISM)
def test_damage_is_named_and_healed_by_one_commit(unguarded: Router, what: str) -> None:
    """What is not planned, or missing, is told in words; one commit leaves only the plan."""
    desired = {FTP: ANY, TFTP: V4}
    unguarded.converge(desired)
    unguarded.world.stranger(VANDALISM[what])
    assert unguarded.look().damage != ()
    succeed(unguarded.converge(desired))
    unguarded.has(desired)


@pytest.mark.parametrize("chain", layout.CHAINS)
def test_a_lost_chain_means_that_nothing_works(unguarded: Router, chain: str) -> None:
    """Elements in the maps have no effect without the rules: they do not count as live."""
    desired = {FTP: ANY, TFTP: V4}
    unguarded.converge(desired)
    place = nft.rule_place(layout.TABLE, chain)
    unguarded.world.stranger(
        Request(_DELRULE, 0, place), Request(_DELCHAIN, 0, nft.chain_name(layout.TABLE, chain))
    )
    seen = unguarded.look()
    assert dict(seen.live) == {}
    assert f"chain {chain} is missing or hooked elsewhere" in seen.damage
    succeed(unguarded.converge(desired))
    unguarded.has(desired)


def test_a_lost_element_is_an_absent_assignment(unguarded: Router) -> None:
    """It is no damage: the plan makes the assignment again, and nothing else."""
    unguarded.converge({FTP: ANY, TFTP: V4})
    key = layout.elements(FTP, ANY)[0][1]
    unguarded.world.stranger(*nft.del_elements(layout.TABLE, "assign", [key]))
    assert dict(unguarded.look().live) == {TFTP: V4}
    succeed(unguarded.converge({FTP: ANY, TFTP: V4}))
    unguarded.has({FTP: ANY, TFTP: V4})


def test_an_added_element_is_a_live_assignment(unguarded: Router) -> None:
    """Somebody else's assignment through our maps works, so it is observed, and can be removed."""
    unguarded.converge({FTP: ANY})
    shape, element = layout.elements(FTP_2121, ANY)[0]
    unguarded.world.stranger(*nft.new_elements(layout.TABLE, shape.name, [element]))
    assert dict(unguarded.look().live) == {FTP: ANY, FTP_2121: ANY}
    succeed(unguarded.converge({FTP: ANY}))
    unguarded.has({FTP: ANY})


def test_a_deleted_table_is_made_again(unguarded: Router) -> None:
    """The bluntest damage of all."""
    unguarded.converge({FTP: ANY, TFTP: V4})
    unguarded.world.stranger(nft.del_table(layout.TABLE))
    assert unguarded.look().ownership is Ownership.ABSENT
    succeed(unguarded.converge({FTP: ANY, TFTP: V4}))
    unguarded.has({FTP: ANY, TFTP: V4})


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [{}, {SIP: ANY}, {SIP: V4}], ids=["new", "any", "prefix"])
def test_a_refused_helper_keeps_no_neighbour_out(
    either: Router, before: Mapping[AssignmentKey, Destinations]
) -> None:
    """The kernel lacks one helper: told with its errno, and everything else happens."""
    if before:
        either.converge(before)
    else:
        either.look()
    outcome = either.commit(create(FTP), create(TFTP_ON_TCP), create(TFTP, V4))
    assert isinstance(outcome, Committed)
    assert list(outcome.refused) == [TFTP_ON_TCP]
    refusal = outcome.refused[TFTP_ON_TCP]
    assert refusal.errno == errno.ENOENT and refusal.words
    either.has({**before, FTP: ANY, TFTP: V4})


def test_all_refused_leaves_nothing(either: Router) -> None:
    """No table is made for assignments that the kernel does not take."""
    either.look()
    outcome = either.commit(create(TFTP_ON_TCP))
    assert isinstance(outcome, Committed) and list(outcome.refused) == [TFTP_ON_TCP]
    assert not either.world.table_exists()


@pytest.mark.parametrize("before", [{}, {SIP: ANY}], ids=["new", "old"])
def test_a_refused_element_is_found_among_many(
    either: Router, before: Mapping[AssignmentKey, Destinations]
) -> None:
    """Elements travel together; the one that the kernel refuses is found, the rest happens."""
    if before:
        either.converge(before)
    else:
        either.look()
    rival = AssignmentKey(Protocol.TCP, 21, "sip")
    outcome = either.commit(create(FTP), create(TFTP), create(rival), create(FTP_2121))
    assert isinstance(outcome, Committed)
    assert list(outcome.refused) == [rival]
    either.has({**before, FTP: ANY, TFTP: ANY, FTP_2121: ANY})


def test_a_kernel_without_one_module() -> None:
    """The same for what the catalog knows and this kernel lacks."""
    helpers = {key: value for key, value in LINUX_6_18.items() if key[0] != "ftp"}
    kernel = FakeKernel(helpers=helpers)
    kernel.create("poor")
    with ExitStack() as stack:
        router = make_router(World(FakeNetnsDirectory(kernel), NetnsName("poor"), stack))
        assert list(router.converge({FTP: ANY, FTP_2121: V4, TFTP: ANY}).refused) == [FTP, FTP_2121]
        router.has({TFTP: ANY})


# -- namespaces ------------------------------------------------------------------------------------


def test_a_netns_that_does_not_exist(router: Router) -> None:
    """It is told in its own place of the answer, and the others are answered."""
    names = [NetnsName("ctest-absent"), router.world.netns]
    absent, cookie = router.dataplane.identify(names)
    assert isinstance(absent, NetnsAbsent) and isinstance(cookie, int)
    missing, seen = router.dataplane.observe([ObserveRequest(name, None) for name in names])
    assert isinstance(missing, NetnsAbsent) and isinstance(seen, Observation)


def test_nothing_is_committed_where_nothing_was_observed(router: Router) -> None:
    """A transaction is based on an observation."""
    transaction = Transaction(router.world.netns, TAG, 1, (create(FTP),))
    assert router.dataplane.commit([transaction]) == [Moved(router.world.netns)]
    assert not router.world.table_exists()


@pytest.mark.parametrize("place", ["send", "receive"])
def test_a_broken_transport_is_told_as_a_value(place: str) -> None:
    """One netns whose socket fails keeps no other from being served."""
    kernel = FakeKernel()
    names = [NetnsName("bad"), NetnsName("good")]
    for name in names:
        kernel.create(name)
    dataplane = NftablesDataplane(FakeNetnsDirectory(kernel))
    dataplane.identify(names)
    kernel.netns("bad").fail_next(place, errno.ENOBUFS)
    bad, good = dataplane.observe([ObserveRequest(name, TAG) for name in names])
    assert isinstance(bad, DataplaneError) and bad.errno == errno.ENOBUFS
    assert isinstance(good, Observation)
    assert isinstance(dataplane.observe([ObserveRequest(names[0], TAG)])[0], Observation)
    dataplane.release(names)
    assert isinstance(bad, CtherdError)
