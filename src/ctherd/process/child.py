"""A program that runs beside us: it is read line by line, and does not outlive us."""

import os
import select
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ctherd.process.failure import CommandFailed, spelled
from ctherd.process.run import decoded
from ctherd.process.running import PIPE, Running, start


def spawn(
    argv: Sequence[str],
    *,
    netns_fd: int | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> "Child":
    """Start a program that goes on beside us, inside the namespace of *netns_fd* if there is one.

    Shape: with *log* everything that it says is appended there; without, what it writes to stdout
    is for ``read_line``. Its stdin is a pipe that we hold: a program that ends at the end of its
    input does not outlive us, whatever ends us.
    Raises: ToolMissing; PrivilegeMissing if we may not enter the namespace.
    """
    said = _scratch() if log is None else log.open("ab+")
    try:
        stdout = PIPE if log is None else said.fileno()
        running = start(argv, netns_fd, env, PIPE, stdout, said.fileno())
    except BaseException:
        said.close()
        raise
    return Child(running, said)


def _scratch() -> IO[bytes]:
    return tempfile.TemporaryFile()


class Child:
    """A program that runs beside us; as a context manager it has ended afterwards."""

    def __init__(self, running: Running, said: IO[bytes]) -> None:
        self._running = running
        self._said = said
        self._unread = b""
        self._complaints = ""
        self.argv = running.argv

    @property
    def pid(self) -> int:
        """Its process id, which no other process can have before we waited for it."""
        return self._running.pid

    def returncode(self) -> int | None:
        """Return how it ended, or None while it runs."""
        return self._running.returncode()

    def write_line(self, line: str) -> None:
        """Let it read *line* from its stdin.

        Raises: CommandFailed if it reads no more.
        """
        assert self._running.stdin is not None, "a child is always given a stdin"
        try:
            os.write(self._running.stdin.fileno(), f"{line}\n".encode())
        except BrokenPipeError as error:
            raise CommandFailed(
                f"{spelled(self.argv)} reads no more: {self.complaints()}"
            ) from error

    def read_line(self, timeout_s: float) -> str:
        """Return the next line that it wrote to stdout, without its end; '' when it closed stdout.

        Raises: CommandFailed if no line came in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            if not (more := self._read(deadline_s, timeout_s)):
                rest, self._unread = self._unread, b""
                return decoded(rest)
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return decoded(line)

    def _read(self, deadline_s: float, timeout_s: float) -> bytes:
        assert self._running.stdout is not None, "a child with a log has nothing to read"
        stdout_fd = self._running.stdout.fileno()
        poll = select.poll()
        poll.register(stdout_fd, select.POLLIN)
        left_ms = max(0.0, deadline_s - time.monotonic()) * 1000
        if not poll.poll(left_ms):
            raise CommandFailed(
                f"{spelled(self.argv)} said nothing within {timeout_s:g} s: {self.complaints()}"
            )
        return os.read(stdout_fd, 65536)

    def complaints(self) -> str:
        """Return what it wrote to its log, or else to stderr, so far."""
        if not self._said.closed:
            # pread: the position belongs to the child as well, and it is writing there.
            size = os.fstat(self._said.fileno()).st_size
            self._complaints = decoded(os.pread(self._said.fileno(), size, 0)).strip()
        return self._complaints

    def finish(self, timeout_s: float) -> int:
        """Close its stdin, which ends a program that lives by it, and return how it ended.

        Raises: CommandFailed if it does not end in time.
        """
        if self._running.stdin is not None:
            with suppress(BrokenPipeError):
                self._running.stdin.close()
        return self.wait(timeout_s)

    def wait(self, timeout_s: float) -> int:
        """Return how it ended.

        Raises: CommandFailed if it does not end in time.
        """
        code = self._running.wait(timeout_s)
        if code is None:
            raise CommandFailed(
                f"{spelled(self.argv)} did not end within {timeout_s:g} s: {self.complaints()}"
            )
        return code

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._running.signal(number)

    def terminate(self, grace_s: float = 3.0) -> int:
        """Ask it to end, kill it if it does not within *grace_s*, and return how it ended."""
        with suppress(ProcessLookupError):
            self._running.signal(signal.SIGTERM)
        with suppress(CommandFailed):
            self.wait(grace_s)
        return self.kill()

    def kill(self) -> int:
        """Kill it and all its children, without asking, and return how it ended."""
        try:
            return self._running.kill()
        finally:
            self.complaints()
            self._said.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.terminate()
