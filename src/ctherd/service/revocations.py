"""What was owed to live flows and what came of it, for `-o json` and for people."""

from collections.abc import Mapping
from typing import Any

from ctherd.errors import CtherdError, NetnsAbsent
from ctherd.model.debt import Action, Debt
from ctherd.model.document import NetnsName
from ctherd.plan.explain import destinations_in_words
from ctherd.ports import Revoked, Settled

Outcome = Revoked | CtherdError

_DONE = {
    Action.DETACH: "{flows} flows lost their helper",
    Action.KILL: "{flows} flows were ended",
    Action.ADOPT: "{flows} open flows were let go, to be tracked anew with the helper",
}


def debt_as_data(debt: Debt) -> dict[str, Any]:
    """Return what is owed, as JSON has it."""
    return {
        "action": debt.action.value,
        "protocol": debt.key.protocol.value,
        "port": debt.key.port,
        "helper": debt.key.helper,
        "destinations": destinations_in_words(debt.destinations),
    }


def settled_as_data(settled: Settled) -> dict[str, Any]:
    """Return what became of a debt, as JSON has it."""
    return debt_as_data(settled.debt) | {
        "flows": settled.flows,
        "expectations": settled.expectations,
        "data_connections": settled.data_connections,
        "ended": settled.ended,
        "left": settled.left,
        "why": settled.why,
        "done": settled.done,
    }


def revoked_as_data(revoked: Revoked | None) -> list[dict[str, Any]]:
    """Return what a revocation came to, as JSON has it."""
    return [] if revoked is None else [settled_as_data(each) for each in revoked.settled]


def add_outcomes(answer: dict[str, Any], outcomes: Mapping[NetnsName, Outcome]) -> dict[str, Any]:
    """Say in *answer*, for each of its routers, what came of revoking there."""
    for router in answer["routers"]:
        outcome = outcomes.get(router["netns"])
        if isinstance(outcome, NetnsAbsent):
            continue  # and its flows with it
        if isinstance(outcome, CtherdError):
            router["error"] = router["error"] or outcome.as_data()
        else:
            router["revoked"] = revoked_as_data(outcome)
    return answer


def in_words(settled: Mapping[str, Any]) -> str:
    """Return what became of a debt in one line."""
    place = f"{settled['protocol']}/{settled['port']} {settled['helper']}"
    parts = [_DONE[Action(settled["action"])].format_map(settled)]
    if settled["expectations"]:
        parts.append(f"{settled['expectations']} expectations removed")
    if settled["data_connections"]:
        ended = " (ended)" if settled["ended"] else " (they live on)"
        parts.append(f"{settled['data_connections']} data connections open{ended}")
    if settled["left"]:
        parts.append(f"{settled['left']} flows left as they are")
    line = f"{place}: {', '.join(parts)}"
    return f"{line}: {settled['why']}" if settled["why"] else line
