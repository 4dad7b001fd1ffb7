"""The memory of a running agent: resident (RSS) and its own share of it (PSS).

Agents as real processes over 0, 100 and 1,000 fresh namespaces with ten assignments each, every
one with ports and helpers of its own. Read from ``/proc/PID/smaps_rollup`` once every router is
programmed and the agent has come to rest. The bound is 50 MB and 10 KB per router, where MB and KB
are the kernel's (1,024).

It does not say what the kernel itself needs for tables, sockets and namespaces, nor what an agent
holds for a moment while it reads a large file.
"""

from pathlib import Path
from typing import Final

from bench import agent, herd
from bench.drift import wait_until_true
from bench.namespaces import crowd
from bench.row import Row
from bench.size import Size
from bench.world import opened

_BASE_KB: Final = 50 * 1024
_ROUTER_KB: Final = 10


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    rows: list[Row] = []
    for routers in size.memory_routers:
        rss_kb, pss_kb = _memory_kb(routers, size.assignments)
        bound_mb = (_BASE_KB + routers * _ROUTER_KB) / 1024
        what = f"agent, {routers} routers × {size.assignments}"
        rows.append(Row(f"{what}: RSS", rss_kb / 1024, "MB", bound_mb))
        rows.append(Row(f"{what}: PSS", pss_kb / 1024, "MB"))
    return rows


def _memory_kb(routers: int, assignments: int) -> tuple[int, int]:
    with crowd(routers) as (path, names):
        documents = herd.documents(names, assignments)
        with agent.running(path, documents, own_table=True) as child:
            with opened(path, names) as world:
                wait_until_true(world, documents, child)
            return resident_kb(child.pid), _smaps(child.pid, "Pss")


def resident_kb(pid: int) -> int:
    """Return the resident size of a process."""
    return _smaps(pid, "Rss")


def _smaps(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {name} in smaps_rollup")
