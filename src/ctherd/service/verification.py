"""What there is to verify of a router: which netns, whose mark, and which assignments."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ctherd.errors import NotFound
from ctherd.guard.policy import Policy
from ctherd.model.assignment import AssignmentKey
from ctherd.reconcile.entry import Entry


def targets(
    entries: Iterable[Entry], router: str, assignment: str, dataplane: str, policy: Policy
) -> dict[str, Any]:
    """Return what `ctherd verify` has to look at, as plain data.

    Shape: *router* is its name or its netns; *assignment* is ``tcp/21``, ``tcp/21/ftp`` or
    ``ftp``, "" for all.
    Raises: NotFound.
    """
    chosen = [each for each in entries if router in (each.router, each.netns)]
    if not chosen:
        raise NotFound(f"no router {router!r} is declared or managed here")
    found = [_target(each, assignment) for each in chosen]
    if assignment and not any(each["assignments"] for each in found):
        raise NotFound(f"router {router!r} has no assignment {assignment!r}, declared or managed")
    return {
        "dataplane": dataplane,
        "scope": asdict(policy.scope),
        "may_probe": policy.allow_probe,
        "routers": found,
    }


def _target(entry: Entry, assignment: str) -> dict[str, Any]:
    declared = dict(entry.document.desired) if entry.document is not None else {}
    return {
        "router": entry.router,
        "netns": entry.netns,
        "tag": entry.tag,
        "assignments": [
            {
                "protocol": key.protocol.value,
                "port": key.port,
                "helper": key.helper,
                "destinations": list(map(str, destinations)),
            }
            for key, destinations in {**entry.managed, **declared}.items()
            if assignment in names(key)
        ],
    }


def names(key: AssignmentKey) -> tuple[str, ...]:
    """Return what an assignment may be called on the command line; "" is any."""
    place = f"{key.protocol}/{key.port}"
    return "", place, f"{place}/{key.helper}", key.helper
