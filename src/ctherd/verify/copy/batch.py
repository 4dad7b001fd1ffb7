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


def ip_batch(
    netns_fd: int, lines: Sequence[str], *, family: str = "", may_exist: bool = True
) -> list[Refused]:
    """Carry out *lines* in the netns; return those that were refused.

    Shape: *family* is ``-4``, ``-6`` or ""; what *may_exist* already is no refusal.
    Raises: CtherdError.
    """
    if not lines:
        return []
    argv = ["ip", *([family] if family else []), "-force", "-batch", "-"]
    done = process.run(argv, input="\n".join(lines) + "\n", netns_fd=netns_fd, check=False)
    refused = _refused(lines, done.stderr)
    return [each for each in refused if not (may_exist and _EXISTS in each.words)]


def _refused(lines: Sequence[str], said: str) -> list[Refused]:
    found: list[Refused] = []
    words: list[str] = []
    for line in said.splitlines():
        failed = _FAILED.match(line)
        if failed is None:
            words.append(line)
            continue
        found.append(Refused(lines[int(failed[1]) - 1], " ".join(words)))
        words = []
    return found
