"""How many files this process may have open, and how many of them namespaces must leave.

One socket is kept for each netns, so a crowded host reaches the limit with them. What else needs a
file then, such as the journal or the control socket, must not be what fails.
"""

import fcntl
import os
import resource
from typing import Final

_LEFT: Final = 32

_ROOM: Final = 4096
"""Open files for which the kernel's table has room from the start: 32 KiB of it."""


def allow_most() -> None:
    """Allow as many open files as the system lets this process have, and make room for many.

    The kernel doubles a full table, at 64, 128, 256, … files. Where threads share it, that waits
    each time for a grace period of RCU: 6 to 16 ms, in the midst of opening namespaces.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    any_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.close(fcntl.fcntl(any_fd, fcntl.F_DUPFD_CLOEXEC, min(_ROOM, most) - 1))
    finally:
        os.close(any_fd)


def leaves_room(fileno: int) -> bool:
    """Tell whether a descriptor that will be kept for a netns leaves enough of them for the rest.

    The kernel gives the lowest free number, so the number says how many are in use.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return fileno < limit - min(_LEFT, limit // 2)
