"""Run other programs: the only module that does. Always a list of arguments, never a shell.

Every wait is bounded, and a program that overstays is killed with all its children. Nothing about
what the programs do enters here.
"""

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Final, Self, TypeVar

from ctherd.errors import CtherdError, PrivilegeMissing
from ctherd.netns.enter import entered

_PACKAGES: Final[Mapping[str, str]] = {
    "conntrack": "conntrack",
    "ip": "iproute2",
    **{
        f"{program}{variant}{verb}": "iptables"
        for program in ("iptables", "ip6tables")
        for variant in ("", "-nft", "-legacy")
        for verb in ("", "-save", "-restore")
    },
    "nft": "nftables",
}
"""The Debian package that brings a program, where its name alone does not say so."""

_REAP_S: Final = 5.0
"""How long a killed program may take to disappear; longer means that the kernel holds it."""


class ToolMissing(CtherdError):
    """A program that is needed is not installed."""

    code: ClassVar[str] = "tool-missing"


class CommandFailed(CtherdError):
    """A program ended with a failure, or not at all; carries what it said."""

    code: ClassVar[str] = "command"


_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has ended.

    Shape: *returncode* is negative for a program that a signal ended; *stdout* and *stderr* are
    decoded as UTF-8, undecodable bytes stay visible as escapes.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    duration_s: float

    @property
    def output(self) -> str:
        """Everything it said, errors last."""
        return self.stdout + self.stderr


def run(
    argv: Sequence[str],
    *,
    input: str | bytes | None = None,
    timeout_s: float = 10.0,
    check: bool = True,
    netns_fd: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run a program to its end, inside the namespace of *netns_fd* if there is one.

    Shape: *env* is added to our own environment.
    Raises: ToolMissing; CommandFailed if it took longer than *timeout_s*, or, with *check*, if it
    failed; PrivilegeMissing if we may not enter the namespace.
    """
    with ExitStack() as stack:
        completed = _begun(stack, Task(argv, input, env), netns_fd).completed(timeout_s)
    if check and completed.returncode != 0:
        raise CommandFailed(
            f"{_spelled(argv)} failed with {completed.returncode}: {completed.output.strip()}"
        )
    return completed


@dataclass(frozen=True, slots=True)
class Task:
    """A program to run, and what it reads; *env* is added to our own environment."""

    argv: Sequence[str]
    input: str | bytes | None = None
    env: Mapping[str, str] | None = None


def run_together(
    tasks: Sequence[Task], *, timeout_s: float = 10.0, netns_fd: int | None = None
) -> list[Completed | CtherdError]:
    """Run programs beside each other, each to its end; return what came of each, in their order.

    Shape: what ``run`` raises stands in its program's place; a failure alone is no error.
    """
    with ExitStack() as stack:
        begun = [_or_error(partial(_begun, stack, each, netns_fd)) for each in tasks]
        return [
            each if isinstance(each, CtherdError) else _or_error(partial(each.completed, timeout_s))
            for each in begun
        ]


@dataclass(frozen=True, slots=True)
class _Begun:
    """A program on its way, with files in memory for what it says."""

    argv: tuple[str, ...]
    child: "subprocess.Popen[bytes]"
    stdout: int
    stderr: int
    since_s: float

    def completed(self, timeout_s: float) -> Completed:
        with _never_left_behind(self.child):
            if not _ends(self.child, timeout_s):
                raise CommandFailed(f"{_spelled(self.argv)} did not end within {timeout_s:g} s")
        said, complained = _text(_all_of(self.stdout)), _text(_all_of(self.stderr))
        taken_s = time.monotonic() - self.since_s
        return Completed(self.argv, self.child.returncode, said, complained, taken_s)


def _begun(stack: ExitStack, task: Task, netns_fd: int | None) -> _Begun:
    since_s = time.monotonic()
    # Files in memory, not pipes: nobody has to feed or drain them while the program runs.
    given = task.input
    stdin = subprocess.DEVNULL if given is None else _in_memory(stack, _encoded(given))
    stdout, stderr = _in_memory(stack), _in_memory(stack)
    child = _start(task.argv, netns_fd, task.env, stdin, stdout, stderr)
    stack.enter_context(_never_left_behind(child))
    return _Begun(tuple(task.argv), child, stdout, stderr, since_s)


def _or_error(act: Callable[[], _Result]) -> _Result | CtherdError:
    try:
        return act()
    except CtherdError as error:
        return error


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
        stdout = subprocess.PIPE if log is None else said.fileno()
        popen = _start(argv, netns_fd, env, subprocess.PIPE, stdout, said.fileno())
    except BaseException:
        said.close()
        raise
    return Child(popen, tuple(argv), said)


class Child:
    """A program that runs beside us; as a context manager it has ended afterwards."""

    def __init__(
        self, popen: "subprocess.Popen[bytes]", argv: tuple[str, ...], said: IO[bytes]
    ) -> None:
        self._popen = popen
        self._said = said
        self._unread = b""
        self._complaints = ""
        self.argv = argv

    @property
    def pid(self) -> int:
        """Its process id, which no other process can have before we waited for it."""
        return self._popen.pid

    def returncode(self) -> int | None:
        """Return how it ended, or None while it runs."""
        return self._popen.poll()

    def read_line(self, timeout_s: float) -> str:
        """Return the next line that it wrote to stdout, without its end; '' when it closed stdout.

        Raises: CommandFailed if no line came in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            if not (more := self._read(deadline_s, timeout_s)):
                rest, self._unread = self._unread, b""
                return _text(rest)
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return _text(line)

    def _read(self, deadline_s: float, timeout_s: float) -> bytes:
        assert self._popen.stdout is not None, "a child with a log has nothing to read"
        stdout_fd = self._popen.stdout.fileno()
        poll = select.poll()
        poll.register(stdout_fd, select.POLLIN)
        left_ms = max(0.0, deadline_s - time.monotonic()) * 1000
        if not poll.poll(left_ms):
            raise CommandFailed(
                f"{_spelled(self.argv)} said nothing within {timeout_s:g} s: {self.complaints()}"
            )
        return os.read(stdout_fd, 65536)

    def complaints(self) -> str:
        """Return what it wrote to its log, or else to stderr, so far."""
        if not self._said.closed:
            # pread: the position belongs to the child as well, and it is writing there.
            size = os.fstat(self._said.fileno()).st_size
            self._complaints = _text(os.pread(self._said.fileno(), size, 0)).strip()
        return self._complaints

    def finish(self, timeout_s: float) -> int:
        """Close its stdin, which ends a program that lives by it, and return how it ended.

        Raises: CommandFailed if it does not end in time.
        """
        if self._popen.stdin is not None:
            with suppress(BrokenPipeError):
                self._popen.stdin.close()
        return self.wait(timeout_s)

    def wait(self, timeout_s: float) -> int:
        """Return how it ended.

        Raises: CommandFailed if it does not end in time.
        """
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(
                f"{_spelled(self.argv)} did not end within {timeout_s:g} s: {self.complaints()}"
            ) from error

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._popen.send_signal(number)

    def terminate(self, grace_s: float = 3.0) -> int:
        """Ask it to end, kill it if it does not within *grace_s*, and return how it ended."""
        with suppress(ProcessLookupError):
            self._popen.terminate()
        with suppress(CommandFailed):
            self.wait(grace_s)
        return self.kill()

    def kill(self) -> int:
        """Kill it and all its children, without asking, and return how it ended."""
        try:
            _kill_group(self._popen)
        finally:
            self.complaints()
            self._said.close()
        return self._popen.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.terminate()


def _in_memory(stack: ExitStack, content: bytes = b"") -> int:
    """Return a file that holds *content*, with the position at its beginning."""
    fd = os.memfd_create("ctherd")
    stack.callback(os.close, fd)
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _all_of(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _ends(child: "subprocess.Popen[bytes]", timeout_s: float) -> bool:
    """Wait for the end of *child*; tell whether it came in time."""
    # Popen.wait looks now and then, in growing intervals; that took longer than iptables itself.
    pidfd = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return False
    finally:
        os.close(pidfd)
    child.wait()
    return True


def _scratch() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _start(
    argv: Sequence[str],
    netns_fd: int | None,
    env: Mapping[str, str] | None,
    stdin: int,
    stdout: int,
    stderr: int,
) -> "subprocess.Popen[bytes]":
    with ExitStack() as stack:
        if netns_fd is not None:
            _enter(stack, netns_fd)
        try:
            return subprocess.Popen(
                list(argv),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=_environment(env),
                # A session of its own: a Ctrl-C is ours to pass on, and a kill reaches children.
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise _missing(argv[0]) from error


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


def _missing(program: str) -> ToolMissing:
    name = Path(program).name
    return ToolMissing(
        f"the program {name} is not installed", cure=f"apt install {_PACKAGES.get(name, name)}"
    )


@contextmanager
def _never_left_behind(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    except BaseException:
        _kill_group(child)
        raise


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    # The group: children of the child may hold its pipes open long after it ended. But nobody's
    # once it was waited for: its number may be a stranger's by now.
    if child.returncode is None:
        os.killpg(child.pid, signal.SIGKILL)
    try:
        child.wait(_REAP_S)
    finally:
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def _encoded(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _text(said: bytes) -> str:
    return said.decode(errors="backslashreplace")


def _spelled(argv: Sequence[str]) -> str:
    return " ".join(argv)
