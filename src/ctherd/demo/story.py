"""Tell what happens, for people: coloured on a terminal, plain elsewhere. Decides nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from rich.console import Console
from rich.text import Text

from ctherd.errors import CtherdError
from ctherd.process import Completed

_INDENT: Final = "    "
_LOG_LINES: Final = 30


class Story:
    """A story in numbered steps."""

    def __init__(self, out: TextIO) -> None:
        # rich honours NO_COLOR and colours terminals only. Lines are not wrapped: they get grepped.
        self._console = Console(file=out, highlight=False, markup=False, emoji=False)
        self._step = ""
        self._steps = 0

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._steps += 1
        self._step = f"{self._steps}. {title}"
        self._line()
        self._line(self._step, "bold")

    def say(self, text: str) -> None:
        """Say what is going on."""
        self._line(f"  {text}")

    def quote(self, text: str) -> None:
        """Show a file, or what a program said."""
        for line in text.rstrip().splitlines():
            self._line(f"{_INDENT}{line}", "dim")

    def command(self, spelled: str, completed: Completed) -> None:
        """Show a command that was run, how long it took, and what it said."""
        line = Text(f"  $ {spelled}", "cyan")
        line.append(f"   ({completed.duration_s * 1000:.0f} ms)", "dim")
        self._console.print(line, soft_wrap=True)
        self.quote(completed.output)

    def quote_log(self, log: Path) -> None:
        """Show the end of a log, if there is one."""
        if log.exists():
            self._line()
            self._line("  The end of the agent's log:")
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            self.quote("\n".join(lines[-_LOG_LINES:]))

    def outcome(self, text: str) -> None:
        """Say that something came out as it must."""
        line = Text("  ✓ ", "green")
        line.append(text, "default")
        self._console.print(line, soft_wrap=True)

    def end(self, text: str) -> None:
        """Say how it all ended."""
        self._line()
        self._line(text, "bold green")

    def failed(self, error: CtherdError) -> None:
        """Say which step did not come out, and why."""
        self._line()
        self._line(f"FAILED at step {self._step or '0'}", "bold red")
        self._line(str(error), "red")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show, on a terminal, that *what* is under way."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(what):
            yield

    def _line(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(text, style), soft_wrap=True)
