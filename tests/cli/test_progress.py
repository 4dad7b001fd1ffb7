"""Progress: on a terminal, after a while, and nowhere else."""

import io
import os
import pty
import select
from collections.abc import Iterator
from typing import TextIO

import pytest

from ctherd.cli.progress import progress

ENDLESS_S = 3600.0
CURSOR_BACK, LINE_WIPED = "\x1b[?25h", "\x1b[2K"


class Terminal:
    """A terminal: *screen* is what a program writes to."""

    def __init__(self) -> None:
        self._seen, other = pty.openpty()
        self.screen: TextIO = os.fdopen(other, "w")
        self.shown = ""

    def read_until(self, words: str) -> None:
        while words not in self.shown:
            ready, _, _ = select.select([self._seen], [], [], 20)
            assert ready, f"{words!r} is never shown, but {self.shown!r}"
            self.shown += os.read(self._seen, 4096).decode()

    def read_the_rest(self) -> str:
        rest = ""
        while select.select([self._seen], [], [], 0)[0]:
            rest += os.read(self._seen, 4096).decode()
        return rest

    def close(self) -> None:
        self.screen.close()
        os.close(self._seen)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    made = Terminal()
    yield made
    made.close()


def test_it_says_what_is_done_and_how_far_it_is(terminal: Terminal) -> None:
    """First the words, then the numbers; in the end the line is wiped and the cursor is back."""
    with progress("applying", screen=terminal.screen, after_s=0.0) as shown:
        terminal.read_until("applying")
        shown.tell(256, 1000)
        terminal.read_until("applying: 256 of 1000 routers")
        shown.tell(512, 1000)
        terminal.read_until("applying: 512 of 1000 routers")
    terminal.read_until(CURSOR_BACK)
    terminal.shown += terminal.read_the_rest()
    assert terminal.shown.rpartition("routers")[2].count(LINE_WIPED) == 1


def test_it_may_count_other_things_than_routers(terminal: Terminal) -> None:
    """Who counts something else says what."""
    with progress("proving", screen=terminal.screen, after_s=0.0) as shown:
        terminal.read_until("proving")
        shown.tell(3, 62, "exchanges")
        terminal.read_until("proving: 3 of 62 exchanges")


def test_what_is_soon_over_says_nothing(terminal: Terminal) -> None:
    """Nothing flickers when there is nothing to wait for."""
    with progress("applying", screen=terminal.screen, after_s=ENDLESS_S) as shown:
        shown.tell(1, 1)
    assert terminal.read_the_rest() == ""


def test_elsewhere_nothing_is_said() -> None:
    """A file or a pipe gets the answer alone."""
    screen = io.StringIO()
    with progress("applying", screen=screen, after_s=0.0) as shown:
        shown.tell(1, 2)
    assert screen.getvalue() == ""


def test_an_error_wipes_it_away(terminal: Terminal) -> None:
    """What is said next begins on an empty line."""
    with (
        pytest.raises(RuntimeError),
        progress("applying", screen=terminal.screen, after_s=0.0),
    ):
        terminal.read_until("applying")
        raise RuntimeError
    terminal.read_until(CURSOR_BACK)
