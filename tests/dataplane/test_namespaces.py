"""Namespaces that are not there, or whose socket fails, are answered in their own place."""

import errno

import pytest

from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.errors import CtherdError, DataplaneError, NetnsAbsent
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation
from ctherd.ports import Moved, ObserveRequest, Transaction
from ctherd.testing.kernel import FakeKernel
from ctherd.testing.netns_directory import FakeNetnsDirectory
from tests.dataplane.contract import FTP, TAG, Router, create


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
