"""Programs that run: the only file that starts them, and the one that ends them.

A program has a session of its own, so that a kill reaches its children, and is never left behind.
"""

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Final

from ctherd.errors import PrivilegeMissing
from ctherd.netns.enter import entered
from ctherd.process.failure import missing

PIPE: Final = subprocess.PIPE
NOTHING: Final = subprocess.DEVNULL

_REAP_S: Final = 5.0
"""How long a killed program may take to disappear; longer means that the kernel holds it."""


class Running:
    """A program that was started; its children belong to it."""

    def __init__(self, argv: Sequence[str], popen: "subprocess.Popen[bytes]") -> None:
        self.argv = tuple(argv)
        self._popen = popen

    @property
    def pid(self) -> int:
        """Its process id, which no other process can have before we waited for it."""
        return self._popen.pid

    @property
    def stdin(self) -> IO[bytes] | None:
        """What it reads, if that is a pipe."""
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes] | None:
        """What it writes, if that is a pipe."""
        return self._popen.stdout

    def returncode(self) -> int | None:
        """Return how it ended, or None while it runs; negative if a signal ended it."""
        return self._popen.poll()

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end; return how it ended, or None if it did not in time."""
        if self._popen.returncode is not None:
            return self._popen.returncode
        # Popen.wait looks now and then, in growing intervals: longer than iptables itself takes.
        pidfd = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(timeout_s * 1000):
                return None
        finally:
            os.close(pidfd)
        return self._popen.wait()

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._popen.send_signal(number)

    def kill(self) -> int:
        """Kill it and all its children, without asking, and return how it ended.

        Raises: subprocess.TimeoutExpired if the kernel does not let it go.
        """
        # The group: children of the child may hold its pipes open long after it ended. But
        # nobody's once it was waited for: its number may be a stranger's by now.
        if self._popen.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)
        try:
            return self._popen.wait(_REAP_S)
        finally:
            for pipe in (self.stdin, self.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()

    @contextmanager
    def never_left_behind(self) -> Iterator[None]:
        """Kill it if the context fails."""
        try:
            yield
        except BaseException:
            self.kill()
            raise


def start(
    argv: Sequence[str],
    netns_fd: int | None,
    env: Mapping[str, str] | None,
    stdin: int,
    stdout: int,
    stderr: int,
) -> Running:
    """Start a program, inside the namespace of *netns_fd* if there is one.

    Shape: *stdin*, *stdout* and *stderr* are descriptors, or PIPE or NOTHING.
    Raises: ToolMissing; PrivilegeMissing if we may not enter the namespace.
    """
    with ExitStack() as stack:
        if netns_fd is not None:
            _enter(stack, netns_fd)
        try:
            popen = subprocess.Popen(
                list(argv),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=_environment(env),
                # A session of its own: a Ctrl-C is ours to pass on, and a kill reaches children.
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise missing(argv[0]) from error
    return Running(argv, popen)


def _enter(stack: ExitStack, netns_fd: int) -> None:
    try:
        stack.enter_context(entered(netns_fd))
    except PermissionError as error:
        raise PrivilegeMissing(
            "may not enter the network namespace",
            cure="run as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN",
        ) from error


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    # LC_ALL: what programs say is shown to people and, now and then, recognised.
    return {**os.environ, "LC_ALL": "C", **(extra or {})}
