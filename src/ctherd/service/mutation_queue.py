"""The queue of mutations that wait for the store: bounded, and taken in groups of disjoint keys."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ctherd.authz.audit.entry import AuditEntry
from ctherd.errors import LocalProtocolError, Overloaded
from ctherd.store.port import Conflict, Expect, Revision, Write

CAPACITY: Final = 512
"""How many mutations may wait, and how many denials beside them."""

TOGETHER: Final = 64
"""How many may share a commit, and denials beside them: what follows waits for all of them."""


@dataclass(eq=False, slots=True)
class Mutation:
    """What somebody waits for; without *writes* it is a denial, which is noted and changes nothing.

    Shape: *done* is cancelled if nobody waits any more.
    Raises: LocalProtocolError, on construction, for what no store could do: it would take others
    with it that share its commit.
    """

    expects: Sequence[Expect]
    writes: Sequence[Write]
    entry: AuditEntry
    done: asyncio.Future[Revision | Conflict] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    keys: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        if len({each.key for each in self.writes}) < len(self.writes):
            raise LocalProtocolError("a change writes a key twice")
        self.keys = frozenset(each.key for each in (*self.expects, *self.writes))

    def settle(self, answer: Revision | Conflict) -> None:
        """Tell whoever waits, if somebody does."""
        if not self.done.done():
            self.done.set_result(answer)

    def fail(self, error: BaseException) -> None:
        """Raise *error* where somebody waits, if somebody does."""
        if not self.done.done():
            self.done.set_exception(error)


class MutationQueue:
    """First in, first out, as far as keys are shared.

    Denials have places of their own: whoever is refused over and over takes none from those who
    may.
    """

    def __init__(self, *, capacity: int = CAPACITY, together: int = TOGETHER) -> None:
        self._capacity = capacity
        self._together = together
        self._mutations: deque[Mutation] = deque()
        self._denials: deque[Mutation] = deque()
        self.filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._mutations) + len(self._denials)

    def put(self, mutation: Mutation) -> None:
        """Let *mutation* wait.

        Raises: Overloaded.
        """
        line = self._mutations if mutation.writes else self._denials
        if len(line) >= self._capacity:
            raise Overloaded(f"{len(line)} changes are waiting for the store already")
        line.append(mutation)
        self.filled.set()

    def take(self) -> list[Mutation]:
        """Take the first ones that share no key with each other, nor with one that must wait.

        Those that nobody waits for any more are let go: nothing was done for them, nor will be.
        """
        keys: set[str] = set()
        return self._take(self._mutations, keys) + self._take(self._denials, keys)

    def drain(self) -> list[Mutation]:
        """Take all."""
        taken: list[Mutation] = []
        while len(self):
            taken += self.take()
        return taken

    def _take(self, line: deque[Mutation], keys: set[str]) -> list[Mutation]:
        taken: list[Mutation] = []
        kept: list[Mutation] = []
        for each in line:
            if each.done.done():
                continue
            fits = len(taken) < self._together and keys.isdisjoint(each.keys)
            (taken if fits else kept).append(each)
            keys |= each.keys
        line.clear()
        line.extend(kept)
        if not len(self):
            self.filled.clear()
        return taken
