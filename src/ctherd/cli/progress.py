"""Says on a terminal that something takes longer, and how far it has come. Elsewhere, nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.status import Status

_LONG_S: Final = 1.0


class Progress:
    """What is being done, shown on *screen* from *after_s* on, and wiped away in the end."""

    def __init__(self, words: str, screen: TextIO, after_s: float) -> None:
        self._words = words
        self._screen = screen
        self._lock = Lock()
        self._over = False
        self._shown: Status | None = None
        self._timer = Timer(after_s, self._show)
        self._timer.daemon = True
        self._timer.start()

    def tell(self, done: int, total: int, things: str = "routers") -> None:
        """Say how many of how many *things* are done."""
        with self._lock:
            self._words = f"{self._words.partition(':')[0]}: {done} of {total} {things}"
            if self._shown is not None:
                self._shown.update(self._words)

    def end(self) -> None:
        """Wipe it away; the answer comes now."""
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._shown is not None:
                self._shown.stop()

    def _show(self) -> None:
        # Only now: most commands are over before this would be read.
        from rich.console import Console
        from rich.status import Status

        with self._lock:
            if not self._over:
                self._shown = Status(self._words, console=Console(file=self._screen))
                self._shown.start()


class Silence:
    """Progress that nobody can see."""

    def tell(self, done: int, total: int, things: str = "") -> None:
        """Say nothing."""


@contextmanager
def progress(
    words: str, *, screen: TextIO | None = None, after_s: float = _LONG_S
) -> Iterator[Progress | Silence]:
    """Show *words* while the body lasts, if it lasts long and standard error is a terminal."""
    screen = screen or sys.stderr
    if not screen.isatty():
        yield Silence()
        return
    shown = Progress(words, screen, after_s)
    try:
        yield shown
    finally:
        shown.end()
