"""Neutron's in-tree extension of the L3 agent beside ctherd's, each with all of its own code.

``conntrack_helper`` and ``ctherd`` are loaded by their entry points into an agent process, over
privsep daemons that run already, and asked for the same, one after the other, in fresh namespaces
that only that process can see. Real are everything of Neutron that takes part, the daemons and
their channel, the programs and the kernel. Stubs, the same for both, are the router info,
``bulk_pull``, and the connection to the message bus. *From empty*: every router is added, with ten
helpers each. *Unchanged*: every router is processed again. *Restart*: a new agent finds what the
last one left. *Ten at once*: one notification of ten helpers for one router. *One more*: a
notification of one, for a router that has a hundred. The clock runs until the kernel has it, which
is read afterwards. Processes are those that agent and daemon start, counted by an audit hook in
both; what these start in turn is not counted. ctherd's side is measured several times, half of them
before the in-tree side and half after, and its median is taken: it is over so soon.

It does not say what a server needs to answer the pull, nor what the other rules of real routers
cost the in-tree side: here its routers have none.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final
from uuid import uuid4

from bench import scratch
from bench.l3_agent import HELPERS, LAPS
from bench.namespaces import crowd_of
from bench.row import Row
from bench.size import Size
from ctherd import process
from ctherd.model.document import NetnsName

_THEIRS: Final = "conntrack_helper"
_OURS: Final = "ctherd"
_BOUNDS: Final[Mapping[str, float]] = {"from empty": 100, "unchanged": 1000, "restart": 100}
_SOURCES: Final = Path(__file__).parents[1]
_TIMEOUT_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Lap:
    """What a step took, and how many processes were started meanwhile."""

    seconds: float
    processes: int


_Laps = Mapping[str, Lap]


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    rounds = range(size.neutron_rounds)
    before = [_laps(_OURS, size) for _ in rounds]
    theirs = _laps(_THEIRS, size)
    ours = [*before, *(_laps(_OURS, size) for _ in rounds)]
    started = max(lap.processes for laps in ours for lap in laps.values())
    return [
        *(
            row
            for step in theirs
            for row in _rows(step, theirs[step], [each[step] for each in ours])
        ),
        Row("processes started by ctherd, in any step", started, "", 0),
    ]


def _rows(step: str, theirs: Lap, ours: Sequence[Lap]) -> list[Row]:
    ours_s = median(lap.seconds for lap in ours)
    bound = _BOUNDS.get(step.rpartition(", ")[2])
    return [
        Row(f"{step}: in-tree ÷ ctherd", theirs.seconds / ours_s, "×", bound, at_least=True),
        Row(f"{step}: ctherd", ours_s * 1e3, "ms"),
        Row(f"{step}: in-tree", theirs.seconds * 1e3, "ms"),
        Row(f"{step}: in-tree, processes", theirs.processes, ""),
    ]


# -- the lives of agents ---------------------------------------------------------------------------


def _laps(extension: str, size: Size) -> _Laps:
    """Let agents with this extension live through all steps, by what the rows call them."""
    names = _router_names(size.neutron_routers)
    what = f"{len(names)} × {HELPERS}"
    with scratch.directory() as state, crowd_of(names) as path:
        first = _life(extension, path, state, "add", "update")
        second = _life(extension, path, state, "add")
    with scratch.directory() as state, crowd_of(names[:2]) as path:
        pushed = _life(extension, path, state, "ten", "one")
    return {
        f"{what}, from empty": first["add"],
        f"{what}, unchanged": first["update"],
        f"{what}, restart": second["add"],
        "ten at once": pushed["ten"],
        "one more to 100": pushed["one"],
    }


def _router_names(count: int) -> list[NetnsName]:
    """Return the names of routers' namespaces, which no agent of this host can know."""
    return [NetnsName(f"qrouter-{uuid4()}") for _ in range(count)]


def _life(extension: str, netns_dir: Path, state: Path, *steps: str) -> _Laps:
    """Let one agent live through *steps*; afterwards all that it started has ended."""
    argv = [
        *("unshare", "--mount", "--net", "--pid", "--mount-proc", "--kill-child"),
        *("sh", "-ec", 'mkdir -p /run/netns; mount --move "$0" /run/netns; exec "$@"', netns_dir),
        *(sys.executable, "-m", "bench.l3_agent", extension, str(state), *steps),
    ]
    with process.spawn([*map(str, argv)], env={"PYTHONPATH": str(_SOURCES)}) as agent:
        if agent.wait(_TIMEOUT_S) != 0:
            raise process.CommandFailed(agent.complaints())
    laps = json.loads((state / LAPS).read_text(encoding="ascii"))
    return {step: Lap(*lap) for step, lap in laps.items()}
