"""A real terminal, as somebody sits at it: a shell in a tmux server of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kernel.host import becomes


class Terminal:
    """One window with a shell; *directory* has the server's socket."""

    def __init__(self, directory: Path) -> None:
        self._tmux = ["tmux", "-S", str(directory / "tmux.sock"), "-f", "/dev/null"]

    def tmux(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def start(self, width: int, height: int) -> None:
        self.tmux("new-session", "-d", "-x", str(width), "-y", str(height), "env PS1='$ ' sh")
        assert self.shows("$")

    def kill(self) -> None:
        self.tmux("kill-server")

    def type(self, line: str) -> None:
        """Type *line*, and Enter."""
        self.tmux("send-keys", "-l", line)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    @property
    def screen(self) -> str:
        """What is seen now."""
        return self.tmux("capture-pane", "-p")

    def shows(self, *words: str) -> bool:
        """Wait until all of *words* are seen at once."""
        return becomes(lambda: all(each in self.screen for each in words))

    def ask(self, what: str) -> str:
        """Return what tmux says of the window."""
        return self.tmux("display-message", "-p", what).strip()


@contextmanager
def terminal(directory: Path, width: int = 120, height: int = 30) -> Iterator[Terminal]:
    """Sit at a terminal of that size."""
    sat_at = Terminal(directory)
    sat_at.start(width, height)
    try:
        yield sat_at
    finally:
        sat_at.kill()
