"""A reconcile of many routers of which none has changed, in the kernel or in the file.

The same routers as in ``reconcile_empty``, already true; then ``reconcile()`` over all of them,
many times, median. Every namespace is looked up by its name and asked for its generation each
time: nothing is taken from memory alone. With ``own_table`` and without.

It does not say what a foreign change costs that moves the generation: then the table is read.
"""

from statistics import median

from bench import herd
from bench.namespaces import crowd
from bench.reconcile_empty import reconcile_all
from bench.row import Row
from bench.size import Size
from bench.timing import timed_s
from bench.world import World, fresh_journal, opened


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    with crowd(size.routers) as (path, names), opened(path, names) as world:
        rows = []
        for own_table in (True, False):
            per_router = _sweep_s(size, world, own_table=own_table) / size.routers
            option = str(own_table).lower()
            what = f"{size.routers} × {size.assignments} unchanged, own_table = {option}"
            rows.append(Row(f"{what}, per router", per_router * 1e6, "µs", 20))
            world.clear()
        return rows


def _sweep_s(size: Size, world: World, *, own_table: bool) -> float:
    with fresh_journal() as journal:
        reconciler = world.reconciler(journal, own_table=own_table)
        reconcile_all(reconciler, herd.documents(world.names, size.assignments))
        # The first one after a commit still compares; then all are settled.
        reconciler.reconcile()
        assert not reconciler.reconcile()
        return median(timed_s(reconciler.reconcile) for _ in range(size.sweeps))
