"""Leave nothing behind: named namespaces that go away whatever ends us, short of kill -9."""

import atexit
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FrameType
from typing import Final

from ctherd import process
from ctherd.errors import PrivilegeMissing
from ctherd.lab.namespace import NETNS_DIR

_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Turns signals that would end the process into an exception, but never while we clean.

    Shape: *held* says that no more exceptions are wanted; *waiting* is a signal that came then,
    unless an earlier one is being obeyed already.
    """

    def __init__(self) -> None:
        self.held = False
        self.waiting: int | None = None
        self._obeyed = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal *number*."""
        if self._obeyed:
            return
        if self.held:
            self.waiting = number
            return
        self.held = self._obeyed = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


def require_root() -> None:
    """Check that namespaces can be made.

    Raises: PrivilegeMissing.
    """
    if os.geteuid() != 0:
        raise PrivilegeMissing("network namespaces can be created by root only", cure="use sudo")


@contextmanager
def namespaces(names: Sequence[str]) -> Iterator[None]:
    """Have these named namespaces; afterwards, and after SIGINT or SIGTERM, they are gone.

    Raises: PrivilegeMissing unless we are root; CommandFailed if one exists already.
    """
    require_root()
    with interruptible() as interruption:
        clean = partial(remove, names)
        # Registered before the first one is made: the signal may come in between.
        atexit.register(clean)
        try:
            for name in names:
                process.run(["ip", "netns", "add", name])
            yield
        finally:
            interruption.held = True
            clean()
            atexit.unregister(clean)


def remove(names: Sequence[str]) -> None:
    """Remove those of the namespaces that exist; one that cannot be removed keeps no other."""
    with ExitStack() as stack:
        for name in names:
            if (NETNS_DIR / name).exists():
                stack.callback(process.run, ["ip", "netns", "delete", name])


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let signals that would end the process raise an exception instead, in the main thread.

    Raises: KeyboardInterrupt, or SystemExit with 128 + the signal's number.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        # Python delivers signals to the main thread only: whoever has it must care.
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in _ENDING_SIGNALS}
    for number in _ENDING_SIGNALS:
        signal.signal(number, interruption)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if interruption.waiting is not None:
            signal.raise_signal(interruption.waiting)
