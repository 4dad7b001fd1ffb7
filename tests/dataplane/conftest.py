"""A fresh netns on the real kernel, and ways to read it."""

import secrets
from collections.abc import Iterator

import pytest

from ctherd.lab.cleanup import namespaces
from ctherd.lab.namespace import NETNS_DIR, Namespace
from ctherd.model.document import NetnsName
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import NetnsDirectory


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
