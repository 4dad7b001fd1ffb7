"""What only the nf_tables dataplane promises: a table that the kernel guards, and maps."""

import errno
from contextlib import ExitStack

import pytest

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.errors import CtherdError, DataplaneError
from ctherd.model.assignment import ANY
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation, Ownership, Unchanged
from ctherd.netlink import nf_tables as nft
from ctherd.ports import Moved, ObserveRequest
from ctherd.testing.helper_matrix import LINUX_6_18
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns_directory import FakeNetnsDirectory
from tests.dataplane.contract import (
    FTP,
    FTP_2121,
    TAG,
    TFTP,
    V4,
    V6,
    Router,
    create,
    delete,
    make_router,
    succeed,
    whole,
)
from tests.dataplane.world_nftables import NftWorld


def test_the_last_prefix_map_goes(either_table: Router, world: NftWorld) -> None:
    """A map for prefixes, and its rules, exist only while an assignment needs them."""
    either_table.converge({FTP: ANY, TFTP: V4})
    with_map = len(world.contents())
    succeed(either_table.commit(delete(TFTP)))
    assert either_table.state() == whole({FTP: ANY})
    # The map, its two rules, and the object of tftp; its rules in both chains that narrow.
    narrowing = 4 if world.scope.related else 0
    assert len(world.contents()) == with_map - 4 - narrowing


def test_a_guarded_table_stands_at_any_generation(guarded: Router) -> None:
    """While the kernel guards it, others may commit what they like: ours is unchanged."""
    guarded.converge({FTP: ANY})
    generation = guarded.look().generation
    guarded.world.touch()
    answer = guarded.ask(generation)
    assert type(answer) is Unchanged and answer.generation > generation


def test_a_guarded_commit_needs_no_generation(guarded: Router) -> None:
    """However often others commit, a change to a guarded table happens at the first try."""
    guarded.converge({FTP: ANY})
    guarded.look()
    guarded.world.touch()
    outcome = succeed(guarded.commit(create(TFTP)))
    assert outcome.guarded
    assert outcome.generation == guarded.look().generation
    assert guarded.state() == whole({FTP: ANY, TFTP: ANY})


def test_our_mark_on_a_table_that_another_socket_claims(world: NftWorld) -> None:
    """The mark is right but the kernel guards it for somebody else: FOREIGN, told by whom."""
    first, second = make_router(world), make_router(world)
    first.converge({FTP: ANY})
    seen = second.look()
    assert seen.ownership is Ownership.FOREIGN
    assert isinstance(first.dataplane, NftablesDataplane)
    transport = first.dataplane.transport(world.netns)
    assert transport is not None
    assert seen.holder == f"table inet ctherd is claimed by netlink port {transport.portid}"
    assert second.commit(create(TFTP)) == Moved(world.netns)
    assert first.state() == whole({FTP: ANY})


def test_the_guard_keeps_others_out(guarded: Router, world: NftWorld) -> None:
    """The kernel refuses everybody else's change to a guarded table."""
    guarded.converge({FTP: ANY})
    errors = world.dialogue().commit([nft.del_table(layout.TABLE)], None)
    assert [each.errno for each in errors] == [errno.EPERM]
    assert guarded.state() == whole({FTP: ANY})


def test_an_orphan_is_claimed_as_it_is(world: NftWorld) -> None:
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


def test_an_orphan_is_claimed_and_changed_in_one_commit(world: NftWorld) -> None:
    """A claim needs no commit of its own."""
    first = make_router(world)
    first.converge({FTP: ANY})
    first.dataplane.release([world.netns])
    second = make_router(world)
    assert second.converge({FTP: ANY, TFTP: ANY}).guarded
    assert second.state() == whole({FTP: ANY, TFTP: ANY})


def test_a_plain_table_becomes_a_guarded_one(world: NftWorld) -> None:
    """A table made without the guard cannot be claimed, so it is made anew in one commit."""
    plain = make_router(world, own_table=False)
    plain.converge({FTP: ANY, TFTP: V6})
    plain.dataplane.release([world.netns])
    owner = make_router(world)
    assert owner.converge({FTP: ANY, TFTP: V6}).guarded
    assert owner.state() == whole({FTP: ANY, TFTP: V6})
    assert owner.look().guarded


def test_a_guarded_table_is_kept_by_one_who_does_not_guard(world: NftWorld) -> None:
    """Switching own_table off changes nothing that works."""
    first = make_router(world)
    first.converge({FTP: ANY})
    first.dataplane.release([world.netns])
    plain = make_router(world, own_table=False)
    assert plain.state() == whole({FTP: ANY})
    succeed(plain.commit(create(TFTP)))
    assert plain.state() == whole({FTP: ANY, TFTP: ANY})


def test_a_kernel_without_persistent_tables() -> None:
    """Before Linux 6.9 the table is unguarded, and outlives the agent all the same."""
    kernel = FakeKernel(persist=False)
    kernel.create("old")
    with ExitStack() as stack:
        world = NftWorld(FakeNetnsDirectory(kernel), NetnsName("old"), stack)
        router = make_router(world)
        assert not router.dataplane.capabilities().guards
        assert not router.converge({FTP: ANY, TFTP: V4}).guarded
        router.dataplane.release([world.netns])
        assert router.state() == whole({FTP: ANY, TFTP: V4})


def test_a_kernel_without_one_module() -> None:
    """The same for what the catalog knows and this kernel lacks."""
    helpers = {key: value for key, value in LINUX_6_18.items() if key[0] != "ftp"}
    kernel = FakeKernel(helpers=helpers)
    kernel.create("poor")
    with ExitStack() as stack:
        router = make_router(NftWorld(FakeNetnsDirectory(kernel), NetnsName("poor"), stack))
        assert list(router.converge({FTP: ANY, FTP_2121: V4, TFTP: ANY}).refused) == [FTP, FTP_2121]
        assert router.state() == whole({TFTP: ANY})


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
