"""Run programs to their end: one, or several beside each other."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ctherd.errors import CtherdError
from ctherd.process.failure import CommandFailed, spelled
from ctherd.process.running import NOTHING, Running, start

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
            f"{spelled(argv)} failed with {completed.returncode}: {completed.output.strip()}"
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

    child: Running
    stdout: int
    stderr: int
    since_s: float

    def completed(self, timeout_s: float) -> Completed:
        with self.child.never_left_behind():
            code = self.child.wait(timeout_s)
            if code is None:
                raise CommandFailed(
                    f"{spelled(self.child.argv)} did not end within {timeout_s:g} s"
                )
        said, complained = decoded(_all_of(self.stdout)), decoded(_all_of(self.stderr))
        return Completed(self.child.argv, code, said, complained, time.monotonic() - self.since_s)


def _begun(stack: ExitStack, task: Task, netns_fd: int | None) -> _Begun:
    since_s = time.monotonic()
    # Files in memory, not pipes: nobody has to feed or drain them while the program runs.
    given = task.input
    stdin = NOTHING if given is None else _in_memory(stack, _encoded(given))
    stdout, stderr = _in_memory(stack), _in_memory(stack)
    child = start(task.argv, netns_fd, task.env, stdin, stdout, stderr)
    stack.enter_context(child.never_left_behind())
    return _Begun(child, stdout, stderr, since_s)


def _or_error(act: Callable[[], _Result]) -> _Result | CtherdError:
    try:
        return act()
    except CtherdError as error:
        return error


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


def _encoded(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def decoded(said: bytes) -> str:
    """Return what a program said; bytes that are not UTF-8 stay visible as escapes."""
    return said.decode(errors="backslashreplace")
