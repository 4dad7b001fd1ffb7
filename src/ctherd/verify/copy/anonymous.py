"""Namespaces without names: nobody finds them, and they die with us, however we end.

A program reaches one by the path of our descriptor of it, as long as we live.
"""

import os
from contextlib import ExitStack

from ctherd.lab.namespace import Namespace
from ctherd.netns.enter import unshared


def make_namespace(stack: ExitStack) -> Namespace:
    """Make a namespace that lasts until *stack* is closed, or this process ends.

    Raises: OSError as the kernel gave it (EPERM without CAP_SYS_ADMIN).
    """
    return Namespace(path_of(stack.enter_context(unshared())))


def path_of(netns_fd: int) -> str:
    """Return what leads to the namespace of *netns_fd*, for us and for the programs we run."""
    return f"/proc/{os.getpid()}/fd/{netns_fd}"
