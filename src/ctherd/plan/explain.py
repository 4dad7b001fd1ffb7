"""A plan in words: the same ones in `plan`, `apply`, the log and the documentation."""

from typing import Any

from ctherd.model.assignment import Destinations
from ctherd.plan.diff import Change, Verb
from ctherd.plan.plan import Plan

_WHY = {
    Verb.CREATE: "declared, and not in the kernel",
    Verb.ADOPT: "in the kernel as declared, not recorded so yet",
    Verb.REPLACE: "in the kernel with other destinations",
    Verb.DELETE: "of ours in the kernel, and not declared",
    Verb.FORGET: "recorded as ours, and neither declared nor in the kernel",
    Verb.CONFLICT: "somebody else has our place",
}


def destinations_in_words(destinations: Destinations) -> str:
    """Return destinations as a person writes them."""
    return ", ".join(map(str, destinations)) or "any"


def why(change: Change, holder: str = "") -> str:
    """Return the reason for *change* in a few words."""
    if change.lost:
        return "was made by us and is gone from the kernel"
    if change.verb is Verb.CONFLICT and holder:
        return holder
    return _WHY[change.verb]


def plan_as_data(plan: Plan) -> dict[str, Any]:
    """Return *plan* as JSON has it."""
    changes = [change_as_data(change, why(change, plan.holder)) for change in plan.changes]
    return {"changes": changes, "repairs": list(plan.repairs), "claim": plan.claim}


def change_as_data(change: Change, reason: str) -> dict[str, Any]:
    """Return *change* and the reason for it as JSON has them."""
    return {
        "change": change.verb.value,
        "protocol": change.key.protocol.value,
        "port": change.key.port,
        "helper": change.key.helper,
        "before": _as_list(change.before),
        "after": _as_list(change.after),
        "why": reason,
    }


def _as_list(destinations: Destinations | None) -> list[str] | None:
    return None if destinations is None else [str(prefix) for prefix in destinations]
