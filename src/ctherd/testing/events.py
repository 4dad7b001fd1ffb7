"""Announcements of commits, as a socket that listens to all namespaces receives them."""

import errno
import os
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commit:
    """One effective commit: where, which generation it began, and who did it.

    Shape: *datagram* is the NEWGEN message in bytes.
    """

    netns: str
    nsid: int
    generation: int
    pid: int
    datagram: bytes


class Subscription:
    """A queue of commits, in their order.

    Shape: fileno() can be waited for: it is readable while something is queued or was lost.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self._queue: deque[Commit] = deque()
        self._capacity = capacity
        self._lost = False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nobody listens any more."""
        return self._closed

    def fileno(self) -> int:
        """Return a file descriptor for event loops."""
        return self._bell

    def next_commit(self) -> Commit | None:
        """Return the oldest commit not yet told, or None.

        Raises: OSError (ENOBUFS), once, if some were lost.
        """
        if self._lost:
            self._lost = False
            self._silence()
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        commit = self._queue.popleft() if self._queue else None
        self._silence()
        return commit

    def receive(self) -> tuple[memoryview, int | None] | None:
        """Return (datagram, nsid) of the next commit, as ctherd's event socket does."""
        commit = self.next_commit()
        return None if commit is None else (memoryview(commit.datagram), commit.nsid)

    def overflow(self) -> None:
        """Lose everything that is queued, as if the receive buffer had run over."""
        self._queue.clear()
        self._lost = True
        self._ring()

    def push(self, commit: Commit) -> None:
        """Queue *commit*; it is lost if there is no room."""
        if len(self._queue) >= self._capacity:
            self._lost = True
        else:
            self._queue.append(commit)
        self._ring()

    def close(self) -> None:
        """Stop listening."""
        if not self._closed:
            self._closed = True
            os.close(self._bell)

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

    def _silence(self) -> None:
        if not self._queue and not self._lost:
            try:
                os.eventfd_read(self._bell)
            except BlockingIOError:
                return
