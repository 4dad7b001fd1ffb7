"""What is answered of a host's routers, in plain data: a plan, what came of it, how they fare."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ctherd.errors import CtherdError, NetnsAbsent
from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.document import NetnsName
from ctherd.model.safe_scope import SafeScope
from ctherd.model.status import AssignmentStatus
from ctherd.plan import risk
from ctherd.plan.diff import Verb
from ctherd.plan.explain import destinations_in_words, plan_as_data
from ctherd.reconcile.entry import Entry
from ctherd.reconcile.reconciler import Report
from ctherd.service.evidence import OfNetns, of_assignment
from ctherd.service.revocations import debt_as_data, revoked_as_data

Answer = dict[str, Any]


def report_as_data(report: Report, entry: Entry, scope: SafeScope) -> Answer:
    """Return what is planned or was done in one netns, and what each change of it risks."""
    error = report.error
    shown: Answer = {
        "router": report.router,
        "netns": report.netns,
        "pending": error.what if isinstance(error, NetnsAbsent) else None,
        "error": error_as_data(error),
        "refused": _refused(report, entry),
        "denied": _denied(entry),
        "adopts": [],
        "revoked": [],
        "warnings": [],
    }
    if report.plan is None:
        return shown | {"changes": [], "repairs": [], "claim": False}
    planned = plan_as_data(report.plan)
    for change, each in zip(report.plan.changes, planned["changes"], strict=True):
        after = change.after
        each["risk"] = None if after is None else _risk(entry.netns, change.key, after, scope)
    return shown | planned


def _refused(report: Report, entry: Entry) -> list[Answer]:
    whole = {**report.refused, **entry.refused}
    in_part = {**report.refused_in, **entry.refused_in}
    return [{"assignment": str(key), "reason": refusal.words} for key, refusal in whole.items()] + [
        {"assignment": str(key), "reason": f"{family}: {refusal.words}"}
        for key, families in in_part.items()
        for family, refusal in families.items()
    ]


def _denied(entry: Entry) -> list[Answer]:
    if entry.document is None:
        return []
    return [
        {
            "assignment": str(entry.document.assignments[each].key),
            "reason": str(denial.reason),
            "rule": denial.rule,
        }
        for each, denial in entry.denials.items()
    ]


def entry_as_data(
    entry: Entry, declared: Sequence[AssignmentStatus], scope: SafeScope, evidence: OfNetns
) -> Answer:
    """Return how a router fares: what is *declared*, what else is managed or live, and proven."""
    observed = entry.observed
    live = observed.live if observed else {}
    keys = {status.key for status in declared}
    undeclared = [each for each in {**entry.managed, **live} if each not in keys]
    return {
        "router": entry.router,
        "netns": entry.netns,
        "declared": entry.document is not None,
        "guarded": bool(observed and observed.guarded),
        "error": error_as_data(entry.error),
        "holder": observed.holder if observed else "",
        "damage": list(observed.damage) if observed else [],
        "warnings": [
            each for status in declared for each in risk.warnings(status.key, status.destinations)
        ],
        "owed": [debt_as_data(each) for each in entry.owed],
        "revoked": revoked_as_data(entry.revoked),
        "assignments": [
            _status(status)
            | {"risk": _risk(entry.netns, status.key, status.destinations, scope)}
            | {"desired": destinations_in_words(status.destinations)}
            | _sides(status.key, entry.managed, live)
            | {"evidence": of_assignment(evidence, status.key)}
            for status in declared
        ]
        + [
            _UNDECLARED
            | _key(key)
            | _sides(key, entry.managed, live)
            | {"evidence": of_assignment(evidence, key)}
            for key in undeclared
        ],
    }


_UNDECLARED: Final[Answer] = {
    "status": None,
    "reason": "",
    "remark": "",
    "families": {},
    "risk": None,
    "desired": None,
}


def _status(status: AssignmentStatus) -> Answer:
    return _key(status.key) | {
        "status": status.overall.state.value,
        "reason": status.overall.reason,
        "remark": status.remark,
        "families": {
            family.value: {"status": verdict.state.value, "reason": verdict.reason}
            for family, verdict in status.families.items()
        },
    }


def _key(key: AssignmentKey) -> Answer:
    return {"protocol": key.protocol.value, "port": key.port, "helper": key.helper}


def _sides(
    key: AssignmentKey,
    managed: Mapping[AssignmentKey, Destinations],
    live: Mapping[AssignmentKey, Destinations],
) -> Answer:
    return {"managed": _side(managed.get(key)), "live": _side(live.get(key))}


def _side(destinations: Destinations | None) -> str | None:
    return None if destinations is None else destinations_in_words(destinations)


def error_as_data(error: CtherdError | None) -> Answer | None:
    """Return *error* as plain data; that a netns is not there (yet) is none."""
    if error is None or isinstance(error, NetnsAbsent):
        return None
    return error.as_data()


def _risk(
    netns: NetnsName, key: AssignmentKey, destinations: Destinations, scope: SafeScope
) -> Answer:
    found = risk.score(netns, key, destinations, scope)
    return {
        "points": found.points,
        "level": found.level.value,
        "reasons": [f"+{points} {words}" for points, words in found.reasons],
    }


def worked(answer: Answer) -> bool:
    """Tell whether everything that *answer* speaks of could be made true, or is waited for."""
    return not any(
        router["error"]
        or router["refused"]
        or router["denied"]
        or any(change["change"] == Verb.CONFLICT.value for change in router["changes"])
        for router in answer["routers"]
    )


def changes(answer: Answer) -> bool:
    """Tell whether *answer* speaks of any change."""
    return any(
        each["changes"] or each["repairs"] or each["claim"] or each.get("adopts")
        for each in answer["routers"]
    )
