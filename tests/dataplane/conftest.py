"""A fresh netns of the real kernel or of either one, ways to read it, and dataplanes in it."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ctherd.dataplane.iptables.variant import Variant
from ctherd.lab.cleanup import namespaces
from ctherd.lab.namespace import NETNS_DIR, Namespace
from ctherd.model.document import NetnsName
from ctherd.model.safe_scope import WIDE, SafeScope
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import NetnsDirectory
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns_directory import FakeNetnsDirectory
from tests.dataplane.contract import Router, World, make_router
from tests.dataplane.world_iptables import IptablesWorld
from tests.dataplane.world_nftables import NARROW, NftWorld

_ROOT = pytest.mark.root
NFT_WORLDS = [
    "scripted",
    "scripted and narrowed",
    pytest.param("real", marks=_ROOT),
    pytest.param("real and narrowed", marks=_ROOT),
]
GUARDED_WORLDS = ["scripted, guarded", pytest.param("real, guarded", marks=_ROOT)]
IPTABLES_WORLDS = [pytest.param(each.value, marks=_ROOT) for each in Variant]
NARROWED_WORLDS = [pytest.param(f"{each.value} and narrowed", marks=_ROOT) for each in Variant]


@pytest.fixture
def netns() -> Iterator[Namespace]:
    """A fresh namespace, ``ctest-<12 hex>``, with its loopback down."""
    name = f"ctest-{secrets.token_hex(6)}"
    with namespaces([name]):
        yield Namespace(name)


@pytest.fixture
def netns_dialogue(netns: Namespace) -> Iterator[Dialogue]:
    """A dialogue with the kernel of ``netns``."""
    opened = NetnsDirectory(NETNS_DIR).open(NetnsName(netns.name))
    yield Dialogue(opened.transport, netns.name)
    opened.close()


# -- the contract, over every dataplane ------------------------------------------------------------


@pytest.fixture(params=[*NFT_WORLDS, *IPTABLES_WORLDS, *NARROWED_WORLDS])
def unguarded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Router]:
    """A router whose place anybody may change."""
    with ExitStack() as stack:
        yield make_router(_world(request.param, stack, tmp_path), own_table=False)


@pytest.fixture(params=[*NFT_WORLDS, *GUARDED_WORLDS, *IPTABLES_WORLDS, *NARROWED_WORLDS])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Router]:
    """The same, and one whose place the kernel guards, where it can."""
    with ExitStack() as stack:
        kind, _, guarded = request.param.partition(", ")
        yield make_router(_world(kind, stack, tmp_path), own_table=bool(guarded))


def _world(kind: str, stack: ExitStack, directory: Path) -> World:
    variant, _, narrowed = kind.partition(" and ")
    if variant not in list(Variant):
        return _nft_world(kind, stack)
    scope = NARROW if narrowed else WIDE
    return _iptables_world(Variant(variant), stack, directory, scope)


# -- one of them -----------------------------------------------------------------------------------


@pytest.fixture(params=NFT_WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[NftWorld]:
    """A fresh netns for the nf_tables dataplane."""
    with ExitStack() as stack:
        yield _nft_world(request.param, stack)


@pytest.fixture
def guarded(world: NftWorld) -> Router:
    """A router whose table the kernel guards."""
    return make_router(world)


@pytest.fixture(params=["guarded", "unguarded"])
def either_table(request: pytest.FixtureRequest, world: NftWorld) -> Router:
    """A router with a table of each kind."""
    return make_router(world, own_table=request.param == "guarded")


@pytest.fixture(params=IPTABLES_WORLDS)
def raw(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IptablesWorld]:
    """A fresh netns for each variant of the iptables dataplane."""
    with ExitStack() as stack:
        yield _iptables_world(Variant(request.param), stack, tmp_path)


def _nft_world(kind: str, stack: ExitStack) -> NftWorld:
    netns = _fresh_name()
    where, _, narrowed = kind.partition(" and ")
    scope = NARROW if narrowed else WIDE
    if where == "scripted":
        kernel = FakeKernel()
        kernel.create(netns)
        return NftWorld(FakeNetnsDirectory(kernel), netns, stack, scope)
    stack.enter_context(namespaces([netns]))
    return NftWorld(NetnsDirectory(NETNS_DIR), netns, stack, scope)


def _iptables_world(
    variant: Variant, stack: ExitStack, directory: Path, scope: SafeScope = WIDE
) -> IptablesWorld:
    netns = _fresh_name()
    stack.enter_context(namespaces([netns]))
    lock = directory / "xtables.lock"
    directory_of_netns = NetnsDirectory(NETNS_DIR)
    return IptablesWorld(directory_of_netns, variant, netns, stack, lock, scope=scope)


def _fresh_name() -> NetnsName:
    return NetnsName(f"ctest-{secrets.token_hex(6)}")
