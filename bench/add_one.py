"""One assignment added on a router that has many, against one that has ten.

Two routers side by side, adds on one and the other in turns. What is timed: making the new
document of the old assignments and one more, the guard, observe, diff, the durable record (with its
barrier to the disk) and the commit. What was added is removed again in between, untimed, so that
the routers stay as they are. The ratio is of the medians of many adds; a second one leaves the
journal out, because a slow disk would flatter the first.

It does not say what reading and parsing a larger file costs.
"""

from collections.abc import Sequence
from statistics import median

from bench import herd
from bench.namespaces import crowd
from bench.row import Row
from bench.size import Size
from bench.timing import lap_s
from bench.world import World, fresh_journal, no_journal, opened
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName, document
from ctherd.ports import Journal, Revoked, Settled
from ctherd.reconcile.reconciler import Reconciler

_WARM_UP = 5


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    with crowd(2) as (path, names), opened(path, names) as world:
        with fresh_journal() as journal:
            few_s, many_s = _adds(size, world, journal)
        world.clear()
        few_bare_s, many_bare_s = _adds(size, world, no_journal())
    few, many = size.assignments, size.many
    return [
        Row(f"one added to {many} ÷ to {few}", many_s / few_s, "×", 2),
        Row(f"one added to {few}", few_s * 1e6, "µs"),
        Row(f"one added to {many}", many_s * 1e6, "µs"),
        Row(f"the same without the journal: to {few}", few_bare_s * 1e6, "µs"),
        Row(f"the same without the journal: to {many}", many_bare_s * 1e6, "µs"),
    ]


class Router:
    """A router to which one assignment is added and taken away again."""

    def __init__(self, reconciler: Reconciler, netns: NetnsName, has: Sequence[Assignment]) -> None:
        self._reconciler = reconciler
        self._netns = netns
        self._has = has
        taken = {each.port for each in self._has}
        self._free = [port for port in range(20_000, 65_536) if port not in taken]

    def add_s(self, number: int) -> float:
        """Add the *number*-th one, and return how long that took."""
        extra = _one_more(self._free[number % len(self._free)])
        return lap_s(lambda: self._become([*self._has, extra]))

    def restore(self) -> None:
        """Take away what was added; there are no flows, so nothing is owed to any."""
        self._become(self._has)
        self._reconciler.settle(
            Revoked(each.netns, each.cookie, tuple(map(Settled, each.owed)))
            for each in self._reconciler.owing([self._netns])
        )

    def _become(self, assignments: Sequence[Assignment]) -> None:
        wanted = document(self._netns, self._netns, assignments)
        names = self._reconciler.accept([wanted], complete=False)
        (report,) = self._reconciler.reconcile(names)
        if report.error or report.refused:
            raise report.error or AssertionError(report)


def _one_more(port: int) -> Assignment:
    return Assignment(AssignmentId(f"tcp/{port}"), "ftp", Protocol.TCP, port)


def _adds(size: Size, world: World, journal: Journal) -> tuple[float, float]:
    reconciler = world.reconciler(journal)
    reconciler.accept([])
    counts = size.assignments, size.many
    routers = [
        Router(reconciler, netns, herd.assignments(count, count))
        for netns, count in zip(world.names, counts, strict=True)
    ]
    for router in routers:
        router.restore()
    samples: tuple[list[float], list[float]] = ([], [])
    for number in range(size.adds + _WARM_UP):
        for router, seen in zip(routers, samples, strict=True):
            seen.append(router.add_s(number))
            router.restore()
    few_s, many_s = (median(seen[_WARM_UP:]) for seen in samples)
    return few_s, many_s
