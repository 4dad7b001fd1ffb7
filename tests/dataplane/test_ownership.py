"""Whose the table of our name is, and how the kernel comes to guard it for us."""

import errno
from contextlib import ExitStack

import pytest

from ctherd.dataplane.nftables import layout
from ctherd.model.assignment import ANY
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation, Ownership
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.nf_tables import TableFlag
from ctherd.ports import Moved, ObserveRequest
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns_directory import FakeNetnsDirectory
from tests.dataplane.contract import (
    FTP,
    OTHER_TAG,
    TAG,
    TFTP,
    V4,
    V6,
    Router,
    World,
    create,
    make_router,
    succeed,
    whole,
)


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
    assert first.state() == whole({FTP: ANY})


def test_the_guard_keeps_others_out(router: Router) -> None:
    """The kernel refuses everybody else's change to a guarded table."""
    router.converge({FTP: ANY})
    errors = router.world.dialogue().commit([nft.del_table(layout.TABLE)], None)
    assert [each.errno for each in errors] == [errno.EPERM]
    assert router.state() == whole({FTP: ANY})


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
    assert second.state() == whole({FTP: ANY, TFTP: ANY})


def test_a_plain_table_becomes_a_guarded_one(world: World) -> None:
    """A table made without the guard cannot be claimed, so it is made anew in one commit."""
    plain = make_router(world, own_table=False)
    plain.converge({FTP: ANY, TFTP: V6})
    plain.dataplane.release([world.netns])
    owner = make_router(world)
    assert owner.converge({FTP: ANY, TFTP: V6}).guarded
    assert owner.state() == whole({FTP: ANY, TFTP: V6})
    assert owner.look().guarded


def test_a_guarded_table_is_kept_by_one_who_does_not_guard(world: World) -> None:
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
        world = World(FakeNetnsDirectory(kernel), NetnsName("old"), stack)
        router = make_router(world)
        assert not router.dataplane.capabilities().guards
        assert not router.converge({FTP: ANY, TFTP: V4}).guarded
        router.dataplane.release([world.netns])
        assert router.state() == whole({FTP: ANY, TFTP: V4})
