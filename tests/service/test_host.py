"""What can be asked of one host, over the scripted kernel."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.dataplane.revoker import FlowRevoker
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.journal.sqlite import SqliteJournal
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import Protocol
from ctherd.model.document import Document, NetnsName, document
from ctherd.plan.safety import Limits
from ctherd.service.host import HostService
from ctherd.service.host_answers import changes
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns_directory import FakeNetnsDirectory


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel()


@pytest.fixture
def service(tmp_path: Path, kernel: FakeKernel) -> Iterator[HostService]:
    journal = SqliteJournal(tmp_path / "journal")
    yield HostService(
        NftablesDataplane(FakeNetnsDirectory(kernel)),
        journal,
        Guard(Policy()),
        Limits(),
        nat_missing=lambda _: False,
        look_around=lambda *_: {},
        find_trouble=lambda *_: [],
        revoker=FlowRevoker(FakeNetnsDirectory(kernel), lambda *_: (), lambda _: True),
        stays=False,
    )
    journal.close()


def crowd(kernel: FakeKernel, count: int) -> list[Document]:
    """Declare ftp for so many namespaces, which are there."""
    names = [f"n{index}" for index in range(count)]
    for name in names:
        kernel.create(name)
    ftp = Assignment(AssignmentId("ftp"), "ftp", Protocol.TCP, 21)
    return [document(f"r-{name}", name, [ftp]) for name in names]


def test_a_crowd_is_told_how_far_it_is(service: HostService, kernel: FakeKernel) -> None:
    """In batches; each router is in the answer once, in order, and all of them are done."""
    told: list[tuple[int, int]] = []
    routers = crowd(kernel, 300)
    planned = service.plan(routers, tell=lambda *how_far: told.append(how_far))
    applied = service.apply(routers, tell=lambda *how_far: told.append(how_far))
    assert told == [(256, 300), (300, 300)] * 2
    for answer in planned, applied:
        assert [each["router"] for each in answer["routers"]] == [each.router for each in routers]
        assert all(each["changes"] for each in answer["routers"])
    assert not changes(service.plan(routers))


def test_namespaces_with_other_names_remove_nothing(
    service: HostService, kernel: FakeKernel
) -> None:
    """Several routers got another netns name: what they have goes along, so that it is safe."""
    routers = crowd(kernel, 3)
    service.apply(routers)
    renamed = [replace(each, netns=NetnsName(each.netns.replace("n", "m"))) for each in routers]
    for before, after in zip(routers, renamed, strict=True):
        kernel.rename(before.netns, after.netns)
    assert service.danger(renamed) is None
    assert not changes(service.apply(renamed))
    assert service.danger([]) is not None
