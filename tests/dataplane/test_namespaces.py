"""Namespaces that are not there are answered in their own place."""

from ctherd.errors import NetnsAbsent
from ctherd.model.document import NetnsName
from ctherd.model.observation import Observation
from ctherd.ports import Moved, ObserveRequest, Transaction
from tests.dataplane.contract import FTP, TAG, Router, create


def test_a_netns_that_does_not_exist(either: Router) -> None:
    """It is told in its own place of the answer, and the others are answered."""
    names = [NetnsName("ctest-absent"), either.world.netns]
    absent, cookie = either.dataplane.identify(names)
    assert isinstance(absent, NetnsAbsent) and isinstance(cookie, int)
    missing, seen = either.dataplane.observe([ObserveRequest(name, None) for name in names])
    assert isinstance(missing, NetnsAbsent) and isinstance(seen, Observation)


def test_nothing_is_committed_where_nothing_was_observed(either: Router) -> None:
    """A transaction is based on an observation."""
    transaction = Transaction(either.world.netns, TAG, 1, (create(FTP),))
    assert either.dataplane.commit([transaction]) == [Moved(either.world.netns)]
    assert not either.world.exists()
