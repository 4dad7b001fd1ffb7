"""What an outsider sees of ctherd's table in a router: the real ``nft``, never ctherd itself."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from ctherd.lab.namespace import Namespace
from ctherd.process import Child, CommandFailed

TABLE: Final = "inet ctherd"

_MARKER: Final = "inet cthlab-marker"
_MARKER_TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class Table:
    """The table as ``nft`` lists it.

    Shape: *lines* are what is in it, in no order, without the flags, which tell who guards it at
    the moment; *handles* are the kernel's numbers, which a table made anew has others of.
    """

    lines: tuple[str, ...]
    handles: tuple[str, ...]


def table(router: Namespace) -> Table | None:
    """Return the table, or None if there is none."""
    completed = router.run(["nft", "-a", "list", "table", *TABLE.split()], check=False)
    if completed.returncode != 0:
        return None
    _, *lines = (line.partition(" # ")[0].strip() for line in completed.stdout.splitlines())
    return Table(
        lines=tuple(sorted(line for line in lines if line and not line.startswith("flags"))),
        handles=tuple(re.findall(r"# handle (\d+)", completed.stdout)),
    )


@dataclass(frozen=True, slots=True)
class TableEvent:
    """The kernel announced that the table was added or deleted, at *time_s* (monotonic)."""

    added: bool
    time_s: float


@dataclass(frozen=True, slots=True)
class Watch:
    """Sees every coming and going of the table in one router, by ``nft monitor``."""

    _monitor: Child

    @classmethod
    @contextmanager
    def of(cls, router: Namespace) -> Iterator[Self]:
        """Watch until the context ends; what happens inside is seen."""
        with router.spawn(["nft", "monitor", "tables"]) as monitor:
            _await_subscription(monitor, router)
            yield cls(monitor)

    def next(self, timeout_s: float = 10.0) -> TableEvent:
        """Wait for the next event of the table.

        Raises: CommandFailed if there is none in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            line = self._monitor.read_line(max(0.0, deadline_s - time.monotonic()))
            now_s = time.monotonic()
            if not line:
                raise CommandFailed(f"nft monitor ended: {self._monitor.complaints()}")
            if TABLE in line:
                return _event(line, now_s)

    def so_far(self, router: Namespace) -> list[TableEvent]:
        """Return every event that nobody waited for, up to now."""
        # The marker is announced after all that happened before it.
        router.nft(f"add table {_MARKER}; delete table {_MARKER}")
        events = []
        while not (line := self._monitor.read_line(10.0)).startswith(f"delete table {_MARKER}"):
            if TABLE in line:
                events.append(_event(line, time.monotonic()))
        return events


def _event(line: str, time_s: float) -> TableEvent:
    # "add", or "create" for one that must not exist before: the other word is "delete".
    return TableEvent(not line.startswith("delete"), time_s)


def _await_subscription(monitor: Child, router: Namespace) -> None:
    # nft says nothing when it begins to listen, so something is done until it tells of it.
    for _ in range(_MARKER_TRIES):
        router.nft(f"add table {_MARKER}; delete table {_MARKER}")
        try:
            monitor.read_line(0.1)
        except CommandFailed:
            continue
        return
    raise CommandFailed(f"nft monitor sees nothing: {monitor.complaints()}")
