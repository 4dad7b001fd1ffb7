"""Step into a network namespace and back, for the calling thread only.

Python offers ``os.setns`` only since 3.12, so both calls are made by ctypes. Nothing else enters:
who looks for a namespace by its name, or watches for it, does so elsewhere.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CLONE_NEWNET: Final = 0x4000_0000
"""Source: linux/sched.h."""

# Not /proc/self: that is the main thread, and a namespace belongs to each thread by itself.
_HOME: Final = "/proc/thread-self/ns/net"

_libc: Final = ctypes.CDLL(None, use_errno=True)


@contextmanager
def entered(netns_fd: int) -> Iterator[None]:
    """Let the calling thread be in the namespace of *netns_fd*; afterwards it is home again.

    Sockets opened and processes started inside stay there. Do not ``await`` inside: the thread
    would carry other tasks along.
    Raises: OSError as the kernel gave it (EPERM without CAP_SYS_ADMIN, EINVAL if *netns_fd* is no
    network namespace); then nothing was entered.
    """
    home = os.open(_HOME, os.O_RDONLY)
    try:
        _setns(netns_fd)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


@contextmanager
def unshared() -> Iterator[int]:
    """Hold a descriptor of a fresh namespace without a name, which dies with the descriptor.

    Raises: OSError as the kernel gave it (EPERM without CAP_SYS_ADMIN).
    """
    netns_fd = _unshare_elsewhere()
    try:
        yield netns_fd
    finally:
        os.close(netns_fd)


def _unshare_elsewhere() -> int:
    # In a thread of its own: it ends in the new namespace, so nobody has to find the way back.
    answer: list[int | OSError] = []

    def unshare() -> None:
        try:
            _checked(_libc.unshare(CLONE_NEWNET))
            answer.append(os.open(_HOME, os.O_RDONLY))
        except OSError as error:
            answer.append(error)

    thread = threading.Thread(target=unshare, name="unshare")
    thread.start()
    thread.join()
    if isinstance(answer[0], OSError):
        raise answer[0]
    return answer[0]


def _setns(netns_fd: int) -> None:
    _checked(_libc.setns(netns_fd, CLONE_NEWNET))


def _checked(status: int) -> None:
    if status != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
