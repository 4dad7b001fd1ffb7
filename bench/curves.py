"""Cost against the number of routers N and of assignments per router H, as curves to be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from bench import floor, herd
from bench.add_one import Router
from bench.namespaces import crowd
from bench.reconcile_empty import reconcile_all
from bench.size import Size
from bench.timing import lap_s, timed_s
from bench.world import World, fresh_journal, opened
from ctherd.model.document import Document

_REPEATS = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot. Shape: *costs_us* belong to *counts*, which are N or H."""

    label: str
    counts: tuple[int, ...]
    costs_us: tuple[float, ...]


def against_routers(size: Size) -> list[Curve]:
    """Return what one of N routers costs."""
    counts = size.plot_routers
    points = [_point(count, size.assignments) for count in counts]
    return _curves(counts, [[cost / count for cost in point] for count, point in zip(
        counts, points, strict=True)])  # fmt: skip


def against_assignments(size: Size) -> list[Curve]:
    """Return what one router with H assignments costs."""
    counts = size.plot_assignments
    curves = _curves(counts, [_point(1, count) for count in counts])
    adds = tuple(_add_us(count) for count in counts)
    return [*curves, Curve("one assignment added", counts, adds)]


def _curves(counts: tuple[int, ...], points: Sequence[Sequence[float]]) -> list[Curve]:
    labels = ("from empty", "floor: prebuilt batches", "unchanged")
    return [
        Curve(label, counts, tuple(costs))
        for label, costs in zip(labels, zip(*points, strict=True), strict=True)
    ]


def _point(routers: int, assignments: int) -> tuple[float, float, float]:
    """Return the microseconds of a reconcile from empty, of its floor, and with no change.

    One more netns keeps our hooks in use meanwhile: the first user of a hook on the whole machine
    has the kernel patch its own code, which takes a millisecond and concerns no later router.
    """
    with crowd(routers + 1) as (path, (bystander, *names)), opened(path, [bystander]) as beside:
        with fresh_journal() as journal:
            reconcile_all(beside.reconciler(journal), herd.documents([bystander], 1))
        with opened(path, names) as world:
            return _measured(world, assignments)


def _measured(world: World, assignments: int) -> tuple[float, float, float]:
    documents = herd.documents(world.names, assignments)
    batches = floor.captured(world, documents)
    world.clear()
    empty_s, unchanged_s, floor_s = [], [], []
    for _ in range(_REPEATS):
        one, other = _reconcile_s(world, documents)
        empty_s.append(one)
        unchanged_s.append(other)
        world.clear()
        with floor.ready(world, batches) as prepared:
            send = partial(floor.send_all, prepared, floor.new_buffer())
            floor_s.append(timed_s(send))
        world.clear()
    return _us(empty_s), _us(floor_s), _us(unchanged_s)


def _reconcile_s(world: World, documents: list[Document]) -> tuple[float, float]:
    with fresh_journal() as journal:
        reconciler = world.reconciler(journal)
        empty_s = timed_s(lambda: reconcile_all(reconciler, documents))
        reconciler.reconcile()
        return empty_s, median(lap_s(reconciler.reconcile) for _ in range(4 * _REPEATS))


def _add_us(assignments: int) -> float:
    with crowd(1) as (path, names), opened(path, names) as world, fresh_journal() as journal:
        reconciler = world.reconciler(journal)
        reconciler.accept([])
        router = Router(reconciler, names[0], herd.assignments(0, assignments))
        router.restore()
        samples = []
        for number in range(4 * _REPEATS):
            samples.append(router.add_s(number))
            router.restore()
    return _us(samples)


def _us(samples_s: Sequence[float]) -> float:
    return median(samples_s) * 1e6
