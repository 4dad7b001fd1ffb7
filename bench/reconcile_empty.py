"""A full reconcile of many routers from empty, against the kernel's floor.

The reconciler is given a document for each of N fresh namespaces, which it has never seen: it asks
the guard, observes, diffs, records durably in a new SQLite journal on a real disk, and commits.
Ports are random and every router has its own mix of helpers, so that no two are alike and caches
of encoded elements do not help. The floor is the very same batches, captured from an earlier run,
sent in a plain loop on open sockets into N other fresh namespaces, acknowledgements read. Both
start with their sockets open; what opening costs is a row of its own. Every round makes all its
namespaces anew, and takes floor and reconcile in turns as to which is first; the first round only
warms up. The ratio is the median of the rounds' ratios.

It does not say how long a file takes to be parsed, nor what a disk with slower barriers adds: the
journal writes once for all routers, so that is a constant.
"""

from functools import partial
from statistics import median

from bench import floor, herd
from bench.namespaces import crowd
from bench.row import Row
from bench.size import Size
from bench.timing import lap_s, median_ratio, timed_s
from bench.world import World, fresh_journal, opened, opening_s
from ctherd.model.document import Document, NetnsName, RouterId
from ctherd.model.observation import Tag
from ctherd.ports import Edit
from ctherd.reconcile.reconciler import Reconciler


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    batches = _batches(size)
    floors, ours, opening = [], [], []
    for number in range(size.rounds + 1):
        one, other, opened_s = _round(size, batches, floor_first=number % 2 == 0)
        if number:
            floors.append(one)
            ours.append(other)
            opening.append(opened_s)
    per_router = 1e6 / size.routers
    what = f"{size.routers} × {size.assignments} from empty"
    return [
        Row(f"{what}: reconcile ÷ floor", median_ratio(ours, floors), "×", 5),
        Row(f"{what}: reconcile, per router", median(ours) * per_router, "µs"),
        Row(f"{what}: floor, per router", median(floors) * per_router, "µs"),
        Row("opening a namespace", median(opening) * per_router, "µs"),
        Row("one durable record in the journal", _record_s() * 1e6, "µs"),
    ]


def reconcile_all(reconciler: Reconciler, documents: list[Document]) -> None:
    """Make *documents* true, and fail if that was not possible."""
    reconciler.accept(documents)
    reports = reconciler.reconcile()
    for report in reports:
        if report.error or report.refused:
            raise report.error or AssertionError(report)
    assert len(reports) == len(documents)


def _batches(size: Size) -> list[bytes]:
    with crowd(size.routers) as (path, names), opened(path, names) as world:
        return floor.captured(world, herd.documents(names, size.assignments))


def _round(size: Size, batches: list[bytes], *, floor_first: bool) -> tuple[float, float, float]:
    with crowd(2 * size.routers) as (path, names):
        # Every other one: neither half is the first that was made.
        halves = names[::2], names[1::2]
        opened_s = opening_s(path, halves[0])
        with opened(path, halves[0]) as one, opened(path, halves[1]) as other:
            documents = herd.documents(halves[1], size.assignments)
            if floor_first:
                floor_s = _floor_s(one, batches)
                return floor_s, _reconcile_s(other, documents), opened_s
            reconcile_s = _reconcile_s(other, documents)
            return _floor_s(one, batches), reconcile_s, opened_s


def _floor_s(world: World, batches: list[bytes]) -> float:
    buffer = floor.new_buffer()
    with floor.ready(world, batches) as prepared:
        return timed_s(lambda: floor.send_all(prepared, buffer))


def _reconcile_s(world: World, documents: list[Document]) -> float:
    with fresh_journal() as journal:
        reconciler = world.reconciler(journal)
        return timed_s(lambda: reconcile_all(reconciler, documents))


def _record_s() -> float:
    with fresh_journal() as journal:
        edits = [Edit(NetnsName("n"), RouterId("r"), Tag(str(number))) for number in range(30)]
        # One after the other they change the same row: an edit that changes nothing is not written.
        return median(lap_s(partial(journal.record, [edit])) for edit in edits)
