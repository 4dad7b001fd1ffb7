"""How a router fares, in as little as a live view needs: from memory, without asking the kernel."""

from collections.abc import Iterable, Iterator

from ctherd.model.assignment import AssignmentKey
from ctherd.model.observation import Ownership
from ctherd.model.status import AssignmentStatus
from ctherd.reconcile.entry import Entry
from ctherd.service.host_answers import Answer, error_as_data


def overview(entry: Entry, statuses: Iterable[AssignmentStatus]) -> Answer:
    """Return what is known of *entry*, as plain data.

    Shape: the status of what is in the kernel, or recorded, and not declared is None.
    """
    declared = {each.key: each.overall for each in statuses}
    live = entry.observed.live if entry.observed is not None else {}
    others = [key for key in {**entry.managed, **live} if key not in declared]
    told = [_assignment(key, each.state.value, each.reason) for key, each in declared.items()]
    return {
        "router": entry.router,
        "netns": entry.netns,
        "error": error_as_data(entry.error),
        "assignments": told + [_assignment(key, None, "") for key in others],
        "drift": list(_drift(entry)),
        "owed": len(entry.owed),
    }


def _assignment(key: AssignmentKey, status: str | None, reason: str) -> Answer:
    return {
        "protocol": key.protocol.value,
        "port": key.port,
        "helper": key.helper,
        "status": status,
        "reason": reason,
    }


def _drift(entry: Entry) -> Iterator[str]:
    """Say in words where the kernel is not as it should be, at this moment."""
    seen, wanted = entry.observed, entry.desired
    if seen is None or entry.document is None:
        return
    if seen.ownership is Ownership.FOREIGN:
        yield seen.holder
        return
    yield from seen.damage
    if seen.live is wanted:
        return
    for key, scope in wanted.items():
        if key not in seen.live:
            yield f"{key} is not in the kernel"
        elif seen.live[key] != scope:
            yield f"{key} has other destinations in the kernel"
    yield from (f"{key} is in the kernel, and not wanted" for key in seen.live if key not in wanted)
