"""How many files this process may have open, and how many of them namespaces must leave.

One socket is kept for each netns, so a crowded host reaches the limit with them. What else needs a
file then, such as the journal or the control socket, must not be what fails.
"""

import resource
from typing import Final

_LEFT: Final = 32


def allow_most() -> None:
    """Allow as many open files as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def leaves_room(fileno: int) -> bool:
    """Tell whether a descriptor that will be kept for a netns leaves enough of them for the rest.

    The kernel gives the lowest free number, so the number says how many are in use.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return fileno < limit - min(_LEFT, limit // 2)
