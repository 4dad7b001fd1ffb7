"""Runs iptables-save and iptables-restore inside a netns, and reads what they complain of.

Arguments are fixed lists, rules go in by stdin, and every wait is bounded.
"""

import errno
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from ctherd import process
from ctherd.dataplane.iptables import listing
from ctherd.dataplane.iptables.change import Line, line_at, restore_input
from ctherd.dataplane.iptables.listing import Counted, Listing
from ctherd.dataplane.iptables.variant import TABLE, Variant
from ctherd.errors import CtherdError, DataplaneError
from ctherd.model.catalog import Family, Protocol
from ctherd.ports import Refusal
from ctherd.process import Completed, Task

_WAIT_S: Final = "5"
_TIMEOUT_S: Final = 20.0

# "line 4: RULE_APPEND failed (No such file or directory): rule in chain x", from iptables-nft;
# "line 4 failed: words" or "line 4 failed" from both.
_FAILED_LINE: Final = re.compile(
    r"line (\d+)(?:: \w+ failed \(([^)]*)\).*| failed(?:: (.*))?|)\.?$", re.MULTILINE
)
_ERRNO: Final = {os.strerror(number): number for number in errno.errorcode} | {
    # How libiptc says it.
    "No chain/target/match by that name": errno.ENOENT,
    "Bad rule (does a matching rule exist in that chain?)": errno.ENOENT,
    "Chain already exists": errno.EEXIST,
}


class Complaint(NamedTuple):
    """What a program said instead of doing it.

    Shape: *lines* are those that it names, with its words about each; *words* are all of them.
    """

    words: str
    lines: tuple[tuple[Line, Refusal], ...] = ()

    @property
    def refusal(self) -> Refusal:
        """The same as a refusal of everything."""
        return _refusal(self.words)


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of one variant. Shape: *environment* is given to those that lock."""

    variant: Variant
    environment: Mapping[str, str] = field(default_factory=dict)

    def save(self, netns_fd: int, family: Family, table: str = TABLE) -> Listing:
        """Return a table, by default raw.

        Raises: DataplaneError if it cannot be read; ToolMissing; CommandFailed.
        """
        return listing.parse(self._saved(netns_fd, family, table))

    def save_counted(self, netns_fd: int, family: Family, table: str) -> dict[str, list[Counted]]:
        """Return the rules of each chain of a table, with what they counted.

        Raises: as save.
        """
        return listing.parse_counted(self._saved(netns_fd, family, table, "-c"))

    def _saved(self, netns_fd: int, family: Family, table: str, *options: str) -> str:
        argv = [self.variant.program(family, "save"), *options, "-t", table]
        completed = process.run(argv, netns_fd=netns_fd, check=False, timeout_s=_TIMEOUT_S)
        return _checked(completed, table)

    def save_all(
        self, netns_fd: int, families: Sequence[Family]
    ) -> dict[Family, Listing | CtherdError]:
        """Return the raw tables of *families*, or what keeps each from being read."""
        tasks = [Task([self.variant.program(each, "save"), "-t", TABLE]) for each in families]
        ended = process.run_together(tasks, netns_fd=netns_fd, timeout_s=_TIMEOUT_S)
        return {
            family: each if isinstance(each, CtherdError) else _or_error(partial(_listing, each))
            for family, each in zip(families, ended, strict=True)
        }

    def restore_all(
        self, netns_fd: int, asked: Mapping[Family, Sequence[Line]]
    ) -> dict[Family, Listing | Complaint | CtherdError]:
        """Carry out the lines of each family as one, both beside each other.

        Shape: returns each raw table as it is then, or what keeps us from it.
        """
        tasks = [
            Task(
                [self.variant.program(family, "restore"), "--noflush", "--wait", _WAIT_S],
                restore_input(lines),
                self.environment,
            )
            for family, lines in asked.items()
        ]
        ended = process.run_together(tasks, netns_fd=netns_fd, timeout_s=_TIMEOUT_S)
        return {
            family: each if isinstance(each, CtherdError) else _answer(each, asked[family])
            for family, each in zip(asked, ended, strict=True)
        }

    def restore_guard(
        self, netns_fd: int, family: Family, lines: Sequence[Line], table: str
    ) -> Listing:
        """Carry out *lines* as one in another table, and return it as it is then.

        Raises: DataplaneError if they are refused; ToolMissing; CommandFailed.
        """
        program = self.variant.program(family, "restore")
        completed = process.run(
            [program, "--noflush", "--wait", _WAIT_S],
            netns_fd=netns_fd,
            input=restore_input(lines, table),
            env=self.environment,
            check=False,
            timeout_s=_TIMEOUT_S,
        )
        if completed.returncode != 0:
            raise _failed(program, _words(completed))
        return listing.parse(completed.stdout)

    def restore(self, netns_fd: int, family: Family, lines: Sequence[Line]) -> Listing | Complaint:
        """Carry out *lines* as one, and return the raw table as it is then.

        Raises: ToolMissing; CommandFailed.
        """
        answer = self.restore_all(netns_fd, {family: lines})[family]
        if isinstance(answer, CtherdError):
            raise answer
        return answer

    def try_helper(
        self, netns_fd: int, family: Family, helper: str, protocol: Protocol
    ) -> Refusal | None:
        """Make a rule that gives *helper*, in a netns where it does no harm; return a no."""
        completed = process.run(
            [self.variant.program(family), "--wait", _WAIT_S, "-t", TABLE, "-A", "PREROUTING",
             "-p", protocol.value, "-m", protocol.value, "--dport", "1",
             "-m", "comment", "--comment", "probe", "-j", "CT", "--helper", helper],
            netns_fd=netns_fd,
            env=self.environment,
            check=False,
            timeout_s=_TIMEOUT_S,
        )  # fmt: skip
        return None if completed.returncode == 0 else _complaint(completed, ()).refusal


def _or_error(read: Callable[[], Listing]) -> Listing | CtherdError:
    try:
        return read()
    except CtherdError as error:
        return error


def _listing(completed: Completed) -> Listing:
    return listing.parse(_checked(completed, TABLE))


def _checked(completed: Completed, table: str) -> str:
    """Return what a save printed.

    Raises: DataplaneError if that is not the table.
    """
    name = completed.argv[0]
    if completed.returncode != 0:
        raise _failed(name, _words(completed))
    if f"*{table}\n" not in completed.stdout:
        raise _failed(name, f"does not show table {table}: {completed.output.strip()}")
    return completed.stdout


def _answer(completed: Completed, lines: Sequence[Line]) -> Listing | Complaint:
    if completed.returncode == 0:
        return listing.parse(completed.stdout)
    return _complaint(completed, lines)


def _complaint(completed: Completed, lines: Sequence[Line]) -> Complaint:
    named = []
    for number, in_brackets, after in _FAILED_LINE.findall(completed.stderr):
        line = line_at(lines, int(number))
        if line is not None:
            named.append((line, _refusal(in_brackets or after or _words(completed))))
    return Complaint(_words(completed), tuple(named))


def _refusal(words: str) -> Refusal:
    in_brackets = re.search(r"failed \(([^)]*)\)", words)
    said = (in_brackets[1] if in_brackets else words).rstrip(".")
    return Refusal(_ERRNO.get(said.rpartition(": ")[2], errno.EINVAL), said)


def _words(completed: Completed) -> str:
    """Return what matters of a complaint, on one line."""
    lines = [line.strip() for line in completed.stderr.splitlines()]
    said = [line for line in lines if line and not line.startswith(("Try `", "#"))]
    return "; ".join(said) or f"{completed.argv[0]} failed with {completed.returncode}"


def _failed(program: str, words: str) -> DataplaneError:
    return DataplaneError(program, errno=_refusal(words).errno, words=words)
