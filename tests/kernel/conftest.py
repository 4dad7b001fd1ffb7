"""Fresh namespaces on the real kernel; whatever a test does in them, they are gone afterwards.

Every test below this directory is marked ``root``.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from ctherd.demo.lab import Lab
from ctherd.lab.cleanup import namespaces
from ctherd.lab.namespace import Namespace
from ctherd.lab.topology import Topology
from tests.kernel.host import Host

MakeNetns = Callable[[], Namespace]

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.root)


def fresh_name() -> str:
    """Return a name that no namespace has."""
    return f"ctest-{secrets.token_hex(6)}"


@pytest.fixture
def make_netns() -> Iterator[MakeNetns]:
    """A function that makes one more namespace, ``ctest-<12 hex>``, with its loopback down."""
    with ExitStack() as stack:

        def make() -> Namespace:
            name = fresh_name()
            stack.enter_context(namespaces([name]))
            return Namespace(name)

        yield make


@pytest.fixture
def netns(make_netns: MakeNetns) -> Namespace:
    """One fresh namespace."""
    return make_netns()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a herd file and a state directory of its own."""
    return Host(tmp_path)


@pytest.fixture
def topology() -> Iterator[Topology]:
    """Client, NAT router and server, without any service."""
    with Topology.build() as net:
        yield net


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Client, NAT router and server, with FTP and TFTP served."""
    with Lab.open() as opened:
        yield opened
