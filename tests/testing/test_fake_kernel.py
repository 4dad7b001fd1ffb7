"""The contract, over the scripted kernel."""

# ruff: noqa: F403
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns import FakeNetns
from tests.testing.contract.batches import *
from tests.testing.contract.chains import *
from tests.testing.contract.conntrack import *
from tests.testing.contract.dumps import *
from tests.testing.contract.elements import *
from tests.testing.contract.intervals import *
from tests.testing.contract.objects import *
from tests.testing.contract.ownership import *
from tests.testing.contract.peer import Peer, World
from tests.testing.contract.rules import *
from tests.testing.contract.sets import *
from tests.testing.contract.tables import *


class FakeWorld:
    """A netns of a scripted kernel."""

    def __init__(self, netns: FakeNetns) -> None:
        self._netns = netns
        self.pid = os.getpid()

    def connect(self) -> Peer:
        return Peer(self._netns.connect())


@pytest.fixture
def world() -> Iterator[World]:
    yield FakeWorld(FakeKernel().create("contract"))


def test_no_scenario_hides_another() -> None:
    """Names are unique over the modules of the contract, so that all of them are collected."""
    written = [
        line
        for path in (Path(__file__).parent / "contract").glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("def test_")
    ]
    collected = [name for name in globals() if name.startswith("test_")]
    assert len(written) == len(collected) - 1
