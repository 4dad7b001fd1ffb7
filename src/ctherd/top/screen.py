"""The terminal: borrowed for as long as somebody looks, and given back as it was."""

import asyncio
import os
import signal
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TextIO

from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.text import Text

from ctherd.top.draw import draw, page_of
from ctherd.top.frame import Frame
from ctherd.top.keys import KeyReader
from ctherd.top.view import View, window

_ENDED_BY: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_LFLAG, _CC = 3, 6  # termios(3), as tcgetattr orders them


class Source(Protocol):
    """Where frames come from."""

    async def next(self, first: Sequence[str]) -> Frame:
        """Return the next frame, when there is a reason for one; flows of *first* are fresh.

        Shape: *first* are netns. It may be cancelled.
        Raises: CtherdError if there was never any to show.
        """


class Screen:
    """Shows on the terminal *stream* what *source* tells, and reads *keyboard*, until ended."""

    def __init__(self, source: Source, keyboard: TextIO, stream: TextIO) -> None:
        self._source = source
        self._keyboard = keyboard.fileno()
        self._stream = stream
        self._keys = KeyReader()
        self._frame: Frame | None = None
        self._view = View()
        self._stale = asyncio.Event()
        self._exit: asyncio.Future[int] | None = None

    async def run(self) -> int:
        """Show until the user or a signal ends it; return the exit code."""
        loop = asyncio.get_running_loop()
        self._exit = loop.create_future()
        self._frame = await self._source.next(())
        console = Console(file=self._stream, highlight=False, force_terminal=True)
        with _borrowed(self._keyboard), _quietly(console) as live:
            loop.add_reader(self._keyboard, self._on_input)
            loop.add_signal_handler(signal.SIGWINCH, self._stale.set)
            for each in _ENDED_BY:
                loop.add_signal_handler(each, self._end, 128 + each)
            working = [
                asyncio.create_task(self._follow()),
                asyncio.create_task(self._draw(console, live)),
            ]
            try:
                ends: list[asyncio.Future[Any]] = [self._exit, *working]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                return self._exit.result() if self._exit.done() else _failure_of(working)
            finally:
                loop.remove_reader(self._keyboard)
                for task in working:
                    task.cancel()
                await asyncio.gather(*working, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            self._frame = await self._source.next(self._seen())
            self._stale.set()

    async def _draw(self, console: Console, live: Live) -> None:
        while True:
            assert self._frame is not None
            width, height = self._size()
            # What Rich would ask are the variables COLUMNS and LINES, which no resize changes.
            console.size = ConsoleDimensions(width, height)
            now = datetime.now(UTC)
            live.update(draw(self._frame, self._view, width, height, now), refresh=True)
            self._stale.clear()
            await self._stale.wait()

    def _size(self) -> tuple[int, int]:
        width, height = os.get_terminal_size(self._stream.fileno())
        return width, height

    def _seen(self) -> list[str]:
        """Return the netns of the routers that are on the screen."""
        if self._frame is None:
            return []
        rows = self._view.rows(self._frame)
        _, height = self._size()
        shown = window(self._view.cursor(rows), len(rows), page_of(height, 0))
        return [rows[at].netns for at in shown]

    def _on_input(self) -> None:
        received = os.read(self._keyboard, 1024)
        if not received:
            self._end(0)
        for key in self._keys.read(received):
            self._on_key(key)

    def _on_key(self, key: str) -> None:
        if key == "q":
            self._end(0)
            return
        assert self._frame is not None
        _, height = self._size()
        self._view = self._view.press(key, self._frame, page_of(height, 0))
        self._stale.set()

    def _end(self, code: int) -> None:
        if self._exit is not None and not self._exit.done():
            self._exit.set_result(code)


def _failure_of(tasks: Sequence[asyncio.Task[None]]) -> int:
    """Raise what ended one of *tasks*, which end by nothing else."""
    for task in tasks:
        if task.done():
            task.result()
    raise AssertionError("no task ended")


@contextmanager
def _quietly(console: Console) -> Iterator[Live]:
    """Draw on the alternate screen, without a cursor."""
    with Live(
        Text(),
        console=console,
        screen=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        yield live


@contextmanager
def _borrowed(keyboard: int) -> Iterator[None]:
    """Have each key at once and unechoed; afterwards the terminal is as it was."""
    before = termios.tcgetattr(keyboard)
    mine = termios.tcgetattr(keyboard)
    mine[_LFLAG] &= ~(termios.ICANON | termios.ECHO)
    # Stopped, it would leave the shell on our screen.
    mine[_CC][termios.VSUSP] = b"\0"
    termios.tcsetattr(keyboard, termios.TCSAFLUSH, mine)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)
