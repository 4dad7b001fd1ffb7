"""What the log says of a netns that was reconciled, in the words of the plan."""

import logging
from typing import Final

from ctherd.model.assignment import AssignmentKey
from ctherd.plan.diff import Verb
from ctherd.plan.explain import why
from ctherd.plan.plan import Plan
from ctherd.reconcile.reconciler import Report

_log: Final = logging.getLogger("ctherd.agent")


def log_changes(report: Report, plan: Plan) -> None:
    """Say what *plan* changed, what it repaired, and what the kernel refused of it."""
    for (verb, words), keys in _alike(plan).items():
        # One line for all: a line each took as long as to make them true.
        _log.info("%s: %s %s: %s", report.router, verb, ", ".join(map(str, keys)), words)
    for repair in plan.repairs:
        _log.warning("%s: repaired: %s", report.router, repair)
    for key, refusal in report.refused.items():
        _log.error("%s: the kernel refuses %s: %s", report.router, key, refusal.words)
    for key, families in report.refused_in.items():
        for family, refusal in families.items():
            _log.error("%s: %s refuses %s: %s", report.router, family, key, refusal.words)


def _alike(plan: Plan) -> dict[tuple[Verb, str], list[AssignmentKey]]:
    """Return what changes in the same way for the same reason."""
    alike: dict[tuple[Verb, str], list[AssignmentKey]] = {}
    for change in plan.changes:
        alike.setdefault((change.verb, why(change, plan.holder)), []).append(change.key)
    return alike
