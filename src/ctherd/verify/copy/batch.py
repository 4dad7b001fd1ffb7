"""Runs `ip -batch` so that one refused line spares the others, and tells which were refused."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ctherd import process

_FAILED: Final = re.compile(r"Command failed -:(\d+)")
_EXISTS: Final = "File exists"


class Refused(NamedTuple):
    """A line of the batch, and what was said of it."""

    line: str
    words: str


def ip_batch(netns_fd: int, lines: Sequence[str], *, family: str = "") -> list[Refused]:
    """Carry out *lines* in the netns; return those that were refused.

    What exists already is no refusal. Shape: *family* is ``-4``, ``-6`` or "".
    Raises: CtherdError.
    """
    if not lines:
        return []
    argv = ["ip", *([family] if family else []), "-force", "-batch", "-"]
    done = process.run(argv, input="\n".join(lines) + "\n", netns_fd=netns_fd, check=False)
    return list(_refused(lines, done.stderr))


def _refused(lines: Sequence[str], said: str) -> list[Refused]:
    found: list[Refused] = []
    words: list[str] = []
    for line in said.splitlines():
        failed = _FAILED.match(line)
        if failed is None:
            words.append(line)
            continue
        told = " ".join(words)
        words = []
        if _EXISTS not in told:
            found.append(Refused(lines[int(failed[1]) - 1], told))
    return found
