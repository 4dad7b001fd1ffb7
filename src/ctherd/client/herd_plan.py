"""A herd file over a server: what differs. Pure.

The server has routers of many people. Those that a file manages bear its mark, and nothing else is
ever changed or removed: a router that has the same name and not the mark is foreign.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ctherd.client.routers import RemoteRouter, adjustable, difference
from ctherd.errors import CtherdError, InvalidDeclaration
from ctherd.herdfile.parse import Herd
from ctherd.model.assignment import Assignment, AssignmentKey
from ctherd.model.document import Document, NetnsName
from ctherd.model.router import HostName, Placement
from ctherd.plan.diff import Change, Verb
from ctherd.plan.explain import change_as_data
from ctherd.plan.safety import Danger, Limits, danger

_WHY: Final = {
    Verb.CREATE: "declared, and not on the server",
    Verb.DELETE: "on the server, and not declared",
}


class ForeignRouter(InvalidDeclaration):
    """The server has a router of that name which this file did not declare."""


@dataclass(frozen=True, slots=True)
class RouterPlan:
    """What a router of the file, or one that left it, comes to.

    Shape: *placement* is where it shall be, None if it shall not be; *existing* is what the
    server has, None if nothing; *wanted* are its assignments; *obstacle* is why nothing may be
    done; *mark* tells that it is the file's.
    """

    name: str
    placement: Placement | None
    existing: RemoteRouter | None
    wanted: Mapping[AssignmentKey, Assignment] = field(default_factory=dict)
    obstacle: CtherdError | None = None
    mark: str = ""

    @property
    def moves(self) -> bool:
        """The server has it, and somewhere else."""
        if self.existing is None or self.placement is None:
            return False
        return self.existing.placements != (self.placement,)

    @property
    def changes(self) -> tuple[Change, ...]:
        """What becomes of its assignments; what goes is first, to make way."""
        if self.obstacle is not None:
            return ()
        has = self.has
        return (*_going(has, self.wanted), *_coming(has, self.wanted))

    @property
    def has(self) -> Mapping[AssignmentKey, Assignment]:
        """What the server has of its assignments."""
        helpers = {} if self.existing is None else self.existing.helpers
        return {key: each.assignment for key, each in helpers.items()}

    def steps(self) -> Iterator[str]:
        """Yield in words what becomes of the router itself."""
        if self.obstacle is not None:
            return
        if self.existing is None and self.placement is not None:
            yield f"create on {_spelled(self.placement)}"
        elif self.placement is None:
            yield "delete: the file does not declare it any more"
        elif self.existing is not None and self.moves:
            was = ", ".join(map(_spelled, self.existing.placements)) or "nowhere"
            yield f"move to {_spelled(self.placement)}, from {was}"


def mark_of(host: HostName) -> str:
    """Return the description of the routers that the herd file of *host* manages."""
    return f"herd file of {host}"


def plan_herd(
    herd: Herd, host: HostName, found: Iterable[RemoteRouter], *, partial: bool
) -> list[RouterPlan]:
    """Return what differs between *herd*, where *host* is meant if none is named, and *found*.

    Shape: in the order of the file, then what left it; with *partial* nothing left.
    """
    ours, others = _sorted_out(found, mark_of(host))
    plans = [
        replace(_plan(each, herd.hosts.get(each.router, host), ours, others), mark=mark_of(host))
        for each in herd.documents
    ]
    if not partial:
        named = {each.router for each in herd.documents}
        plans += [
            RouterPlan(each.name, None, each) for each in ours.values() if each.name not in named
        ]
    return plans


def unsafe(plans: Sequence[RouterPlan], limits: Limits) -> Danger | None:
    """Return what is unusual about *plans*, or None."""
    managed = {
        NetnsName(each.name): each.existing.desired
        for each in plans
        if each.existing is not None and each.obstacle is None
    }
    desired = {
        NetnsName(each.name): {key: one.destinations for key, one in each.wanted.items()}
        for each in plans
    }
    return danger(desired, managed, limits)


def as_answer(plans: Iterable[RouterPlan]) -> dict[str, Any]:
    """Return *plans* as the commands of one host answer, and `-o json` prints."""
    return {"routers": [_as_data(each) for each in plans]}


def _sorted_out(
    found: Iterable[RemoteRouter], mark: str
) -> tuple[dict[str, RemoteRouter], dict[str, RemoteRouter]]:
    """Return ours and others, each by name."""
    ours: dict[str, RemoteRouter] = {}
    others: dict[str, RemoteRouter] = {}
    for each in found:
        side = ours if each.description == mark and each.name not in ours else others
        side[each.name] = each
    return ours, others


def _plan(
    document: Document,
    host: HostName,
    ours: Mapping[str, RemoteRouter],
    others: Mapping[str, RemoteRouter],
) -> RouterPlan:
    name = document.router
    placement = Placement(host, document.netns)
    wanted = {each.key: each for each in document.assignments.values()}
    if foreign := others.get(name):
        return RouterPlan(name, placement, ours.get(name), wanted, _foreign(foreign))
    return RouterPlan(name, placement, ours.get(name), wanted)


def _foreign(router: RemoteRouter) -> ForeignRouter:
    return ForeignRouter(
        f"the server has a router {router.name!r} ({router.id}) that this file did not declare",
        cure="call yours otherwise; or, if another machine applied this file, --host MACHINE",
    )


def _going(
    has: Mapping[AssignmentKey, Assignment], wanted: Mapping[AssignmentKey, Assignment]
) -> Iterator[Change]:
    for key, before in has.items():
        if key not in wanted:
            yield Change(Verb.DELETE, key, before.destinations)


def _coming(
    has: Mapping[AssignmentKey, Assignment], wanted: Mapping[AssignmentKey, Assignment]
) -> Iterator[Change]:
    for key, assignment in wanted.items():
        if key not in has:
            yield Change(Verb.CREATE, key, None, assignment.destinations)
        elif difference(has[key], assignment):
            yield Change(Verb.REPLACE, key, has[key].destinations, assignment.destinations)


def _change_as_data(plan: RouterPlan, change: Change) -> dict[str, Any]:
    """Return a change, why it is one, and what shall come of flows when it is made."""
    before, after = plan.has.get(change.key), plan.wanted.get(change.key)
    differs = difference(before, after) if before and after else {}
    why = _WHY.get(change.verb) or f"on the server with other {', '.join(differs)}"
    shown = adjustable(after) if after is not None else {}
    flows = {name: shown.get(name) for name in ("on_revoke", "adopt_flows")}
    return change_as_data(change, why) | flows


def _as_data(plan: RouterPlan) -> dict[str, Any]:
    placement = plan.placement or next(
        iter(plan.existing.placements if plan.existing else ()), None
    )
    error = plan.obstacle
    return {
        "router": plan.name,
        "id": plan.existing.id if plan.existing else None,
        "host": placement.host if placement else None,
        "netns": placement.netns if placement else None,
        "steps": list(plan.steps()),
        "changes": [_change_as_data(plan, each) for each in plan.changes],
        "repairs": [],
        "claim": False,
        "pending": None,
        "denied": [],
        "refused": [],
        "error": None if error is None else error.as_data(),
    }


def _spelled(placement: Placement) -> str:
    return f"{placement.host}, netns {placement.netns}"
