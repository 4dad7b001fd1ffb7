"""A fresh netns of the real kernel or of either one, ways to read it, and dataplanes in it."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ctherd.dataplane.nftables.dataplane import NamespaceOpener
from ctherd.lab.cleanup import namespaces
from ctherd.lab.namespace import NETNS_DIR, Namespace
from ctherd.model.document import NetnsName
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import NetnsDirectory
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns_directory import FakeNetnsDirectory
from tests.dataplane.contract import Router, World, make_router


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
