"""What the live view knows at one moment: plain values, from what an agent or a look told."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Load(NamedTuple):
    """How many flows have a helper, and how many connections it expects of them."""

    flows: int
    expected: int


Loads = Mapping[str, Load]
"""Loads by helper, as the kernel calls it."""


class AssignmentRow(NamedTuple):
    """An assignment and how it fares; *status* "undeclared" if nobody wants what is there."""

    key: str
    helper: str
    status: str
    reason: str


class RepairRow(NamedTuple):
    """Drift that was repaired; *when* is RFC 3339, UTC."""

    when: str
    router: str
    netns: str
    ms: float
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RouterRow:
    """One router.

    Shape: *drift* says where the kernel is not as it should be now, *repairs* how often that was
    cured since the agent began; *loads* None: not counted yet.
    """

    name: str
    netns: str
    assignments: tuple[AssignmentRow, ...] = ()
    error: str = ""
    drift: tuple[str, ...] = ()
    owed: int = 0
    repairs: int = 0
    loads: Loads | None = None

    @property
    def flows(self) -> int | None:
        """How many flows have a helper."""
        return None if self.loads is None else sum(each.flows for each in self.loads.values())

    @property
    def expected(self) -> int | None:
        """How many connections helpers expect."""
        return None if self.loads is None else sum(each.expected for each in self.loads.values())

    @property
    def states(self) -> Mapping[str, int]:
        """How many assignments have each status."""
        return Counter(each.status for each in self.assignments)

    @property
    def is_troubled(self) -> bool:
        """Something is not as its author wants it."""
        return bool(self.error or self.drift) or any(each != "active" for each in self.states)


@dataclass(frozen=True, slots=True)
class Frame:
    """All that is shown at one moment.

    Shape: *origin* is "agent" or "kernel"; *note* says what a reader has to know of that;
    *in_sync* and *repairs* are None where there is no agent to know them; *recent* are the last
    repairs, oldest first.
    """

    origin: str
    note: str
    dataplane: str
    routers: tuple[RouterRow, ...] = ()
    in_sync: bool | None = None
    repairs: int | None = None
    recent: tuple[RepairRow, ...] = field(default_factory=tuple)

    @property
    def states(self) -> Mapping[str, int]:
        """How many assignments of all routers have each status."""
        return sum((Counter(each.states) for each in self.routers), Counter())

    @property
    def loads(self) -> Loads:
        """What was counted of all routers together, by helper."""
        total: dict[str, Load] = {}
        for router in self.routers:
            for helper, (flows, expected) in (router.loads or {}).items():
                before = total.get(helper, Load(0, 0))
                total[helper] = Load(before.flows + flows, before.expected + expected)
        return dict(sorted(total.items()))


def read_routers(
    told: list[dict[str, Any]], repairs: Mapping[str, int], loads: Mapping[str, Loads]
) -> tuple[RouterRow, ...]:
    """Return the rows of what ``service.overview`` told; *repairs* and *loads* go by netns."""
    return tuple(
        RouterRow(
            each["router"],
            each["netns"],
            tuple(map(_assignment, each["assignments"])),
            each["error"]["what"] if each["error"] else "",
            tuple(each["drift"]),
            each["owed"],
            repairs.get(each["netns"], 0),
            loads.get(each["netns"]),
        )
        for each in told
    )


def read_repairs(told: list[dict[str, Any]]) -> tuple[RepairRow, ...]:
    """Return the repairs that an agent told."""
    return tuple(
        RepairRow(each["when"], each["router"], each["netns"], each["ms"], tuple(each["words"]))
        for each in told
    )


def _assignment(told: dict[str, Any]) -> AssignmentRow:
    key = f"{told['protocol']}/{told['port']} {told['helper']}"
    return AssignmentRow(key, told["helper"], told["status"] or "undeclared", told["reason"])


def frame_as_data(frame: Frame) -> dict[str, Any]:
    """Return *frame* as `-o json` prints it."""
    return {
        "origin": frame.origin,
        "note": frame.note,
        "dataplane": frame.dataplane,
        "in_sync": frame.in_sync,
        "repairs": frame.repairs,
        "recent": [each._asdict() for each in frame.recent],
        "helpers": {helper: load._asdict() for helper, load in frame.loads.items()},
        "routers": [_router_as_data(each) for each in frame.routers],
    }


def _router_as_data(row: RouterRow) -> dict[str, Any]:
    return {
        "router": row.name,
        "netns": row.netns,
        "assignments": [each._asdict() for each in row.assignments],
        "error": row.error or None,
        "drift": list(row.drift),
        "owed": row.owed,
        "repairs": row.repairs,
        "helpers": {helper: load._asdict() for helper, load in (row.loads or {}).items()},
    }
