"""Where the live view has its frames from: a running agent, or else the kernel itself.

Statuses, drift and repairs are what the agent knows, told when something happens. Flows are counted
here, not there: an agent has better to do than to read conntrack tables for onlookers.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ctherd.agent.onlooker import ask_later
from ctherd.dataplane.conntrack import live_flows
from ctherd.errors import CtherdError
from ctherd.herdfile.read import read_herd
from ctherd.main.config import Config
from ctherd.main.wiring import netns_directory, opened
from ctherd.model.document import Document, NetnsName
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import NetnsDirectory
from ctherd.top.frame import Frame, Load, Loads, read_repairs, read_routers

_COUNTING_S: Final = 0.1
"""How long routers that nobody sees are counted for one frame."""

_LEAST_GAP_S: Final = 0.2
"""How soon a frame may follow another, however much happens."""

_KERNEL_GAP_S: Final = 2.0
"""How soon the kernel is read again where no agent tells what happened."""


class FlowCounts:
    """What was last counted of each netns; used by one thread at a time."""

    def __init__(self, directory: NetnsDirectory) -> None:
        self._directory = directory
        self.loads: dict[str, Loads] = {}

    def refresh(self, names: Sequence[str], first: Iterable[str], budget_s: float) -> None:
        """Count flows in *first*, then in other *names*, oldest first, until the time is over."""
        named = frozenset(names)
        self.loads = {name: each for name, each in self.loads.items() if name in named}
        urgent = dict.fromkeys(name for name in first if name in named)
        # What was counted is moved to the end: dicts keep their order, so the oldest is first.
        later = [name for name in names if name not in self.loads and name not in urgent]
        later += [name for name in self.loads if name not in urgent]
        for name in urgent:
            self._count(name)
        end_s = time.monotonic() + budget_s
        for name in later:
            if time.monotonic() > end_s:
                return
            self._count(name)

    def _count(self, name: str) -> None:
        self.loads.pop(name, None)
        try:
            namespace = self._directory.open(NetnsName(name))
        except (CtherdError, OSError):
            return  # it is gone, or not there yet; its status says so
        # It is let go of at once: an open socket would keep a deleted netns alive.
        try:
            counted = live_flows(Dialogue(namespace.transport, name))
            self.loads[name] = {helper: Load(*each) for helper, each in counted.items()}
        except (CtherdError, OSError):
            return
        finally:
            namespace.close()


class HostSource:
    """Frames of this host, one after the other.

    Shape: *interval_s* is how old what is counted may become while nothing happens.
    """

    def __init__(self, config: Config, interval_s: float, *, complete: bool = False) -> None:
        self._config = config
        self._interval_s = interval_s
        self._budget_s = float("inf") if complete else _COUNTING_S
        self._counts = FlowCounts(netns_directory(config.netns_dir, leave_room=False))
        self._told: dict[str, Any] = {}
        self._next_s = 0.0

    async def next(self, first: Sequence[str]) -> Frame:
        """Return the next frame; see ``top.screen.Source``."""
        await asyncio.sleep(max(0.0, self._next_s - time.monotonic()))
        answer = await ask_later(self._config.state_dir, self._request())
        told = await self._look() if answer is None else self._heard(answer)
        gap_s = _LEAST_GAP_S if answer is not None else max(_KERNEL_GAP_S, self._interval_s)
        names = [each["netns"] for each in told["routers"]]
        await asyncio.to_thread(self._counts.refresh, names, first, self._budget_s)
        self._next_s = time.monotonic() + gap_s
        return self._frame(told)

    def _request(self) -> dict[str, Any]:
        after = self._told.get("mark")
        return {"operation": "overview", "after": after, "wait_s": self._interval_s}

    def _heard(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return what the agent told last: now, or before if nothing happened since."""
        if "routers" in answer:
            self._told = answer
        return self._told

    async def _look(self) -> dict[str, Any]:
        """Read the kernel, as no agent does; if it cannot be read just now, tell that."""
        try:
            self._told = await asyncio.to_thread(_glance, self._config)
        except CtherdError as error:
            if not self._told:
                raise
            self._told = {**self._told, "mark": None, "note": f"no agent runs; {error}"}
        return self._told

    def _frame(self, told: dict[str, Any]) -> Frame:
        repairs = told.get("repairs")
        rows = read_routers(told["routers"], repairs or {}, self._counts.loads)
        recent = read_repairs(told.get("recent", []))
        if repairs is None:
            return Frame("kernel", told["note"], told["dataplane"], rows)
        total = sum(repairs.values())
        in_sync = bool(told["in_sync"])
        return Frame("agent", _words(told), told["dataplane"], rows, in_sync, total, recent)


def _words(told: dict[str, Any]) -> str:
    """Say how the agent itself fares."""
    doubts = [f"{count} {reason}" for reason, count in told["doubts"].items() if count]
    due = told["queue"]["due"] + told["queue"]["waiting"]
    queue = [f"{due} to look at"] if due else []
    return ", ".join(["agent in sync" if told["in_sync"] else "agent not in sync", *doubts, *queue])


def _glance(config: Config) -> dict[str, Any]:
    """Look at everything once, change nothing, and hold nothing afterwards."""
    note = "no agent runs: this is the kernel, and nobody repairs it"
    documents: Sequence[Document] | None = None
    try:
        documents = read_herd(config.file).documents if config.file.exists() else None
    except CtherdError as error:
        note = f"{note}; {error}"
    with opened(config, stays=False, changes=False) as host:
        try:
            routers = host.service.glance(documents)
        finally:
            host.dataplane.release(list(host.service.reconciler.entries))
        return {"routers": routers, "dataplane": host.choice.name, "note": note}
