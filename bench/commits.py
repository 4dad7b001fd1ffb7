"""The kernel's announcements of commits to nf_tables in one netns."""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ctherd.errors import CtherdError
from ctherd.model.document import NetnsName
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import wire
from ctherd.netlink.nf_tables import Operation
from ctherd.netlink.socket import NETLINK_NETFILTER, EventSocket
from ctherd.netns.directory import NetnsDirectory
from ctherd.netns.enter import entered

_GROUP_NFTABLES: Final = 7  # NFNLGRP_NFTABLES
_PATIENCE_S: Final = 10.0


class NothingCommitted(CtherdError):
    """The commit that was waited for did not come."""

    code = "nothing-committed"


class Commits:
    """What one netns announces, from now on."""

    def __init__(self, directory: NetnsDirectory, netns: NetnsName) -> None:
        self._netns = netns
        with directory.held(netns) as fd, entered(fd):
            self._events = EventSocket(NETLINK_NETFILTER, _GROUP_NFTABLES)

    def next_s(self) -> float:
        """Wait for the next announcement that ends a commit; return when it was heard.

        Shape: seconds of ``time.perf_counter``.
        Raises: NothingCommitted.
        """
        ends = nft.kind(Operation.NEWGEN)
        while True:
            received = self._events.receive()
            if received is not None:
                if any(each.kind == ends for each in wire.messages(received[0])):
                    return time.perf_counter()
            elif not select.select([self._events], [], [], _PATIENCE_S)[0]:
                raise NothingCommitted(f"for {_PATIENCE_S:g} s", where=self._netns)

    def close(self) -> None:
        """Stop listening."""
        self._events.close()


@contextmanager
def heard(directory: NetnsDirectory, netns: NetnsName) -> Iterator[Commits]:
    """Listen to *netns*."""
    commits = Commits(directory, netns)
    try:
        yield commits
    finally:
        commits.close()
