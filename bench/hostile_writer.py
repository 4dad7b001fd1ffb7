"""One assignment added while somebody else commits 500 times a second in the same namespace.

The foreign writer is a process of its own with its own socket, at an even pace. The router has ten
assignments; one is added, as in ``add_one``, and taken away again, over and over, with random
pauses so that adds do not fall into step with the writer. The 99th percentile of the adds is
compared with the bound, durable record included: so the disk has a part in it. With ``own_table``,
where the kernel keeps the writer out of our table, and without, where each commit is based on a
generation that the writer moves every 2 ms. The rate that the writer reached is a row of its own.

It does not say what a writer in a tight loop does; without ``own_table`` that can starve any
reader, and after eight tries the reconciler reports it and comes back later.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from bench import herd
from bench.add_one import Router
from bench.namespaces import crowd
from bench.row import Row
from bench.size import Size
from bench.timing import percentile
from bench.world import World, fresh_journal, opened
from ctherd import process
from ctherd.demo.lifeline import READY
from ctherd.lab.namespace import python
from ctherd.model.document import NetnsName

PER_SECOND: Final = 500
_PAUSE_S: Final = 0.004


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    rows: list[Row] = []
    for own_table in (True, False):
        with crowd(1) as (path, names), opened(path, names) as world:
            rows += _rows(size, world, path, own_table=own_table)
    return rows


def _rows(size: Size, world: World, path: Path, *, own_table: bool) -> list[Row]:
    reached: list[float] = []
    (netns,) = world.names
    with fresh_journal() as journal:
        reconciler = world.reconciler(journal, own_table=own_table)
        reconciler.accept([])
        router = Router(reconciler, netns, herd.assignments(0, size.assignments))
        router.restore()
        with _writing(path, netns, reached):
            adds_s = [_add_s(router, number) for number in range(size.hostile_adds)]
    what = f"one added against {PER_SECOND} commits/s, own_table = {str(own_table).lower()}"
    return [
        Row(f"{what}: p99", percentile(adds_s, 99) * 1e3, "ms", 10),
        Row(f"{what}: p50", median(adds_s) * 1e3, "ms"),
        Row(f"{what}: the writer reached", reached[0], "/s"),
    ]


def _add_s(router: Router, number: int) -> float:
    time.sleep(random.uniform(0, _PAUSE_S))
    taken_s = router.add_s(number)
    router.restore()
    return taken_s


@contextmanager
def _writing(path: Path, netns: NetnsName, reached: list[float]) -> Iterator[None]:
    """Have the foreign writer at work; afterwards *reached* holds its rate."""
    with (path / netns).open("rb") as inside:
        writer = process.spawn(python("bench.foreign", str(PER_SECOND)), netns_fd=inside.fileno(),
                               env={"PYTHONPATH": str(Path(__file__).parents[1])})  # fmt: skip
    with writer:
        if writer.read_line(10) != READY:
            raise process.CommandFailed(writer.complaints())
        yield
        writer.finish(10)
        commits, taken_s = writer.read_line(10).split()
        reached.append(int(commits) / float(taken_s))
