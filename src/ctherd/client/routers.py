"""The routers of a server as its API tells them, and the questions that change them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from ctherd.client.connection import Connection
from ctherd.errors import InvalidDeclaration, RemoteProtocolError
from ctherd.model.assignment import (
    Assignment,
    AssignmentId,
    AssignmentKey,
    Destinations,
    OnRevoke,
    parse_prefix,
)
from ctherd.model.catalog import Protocol
from ctherd.model.document import NetnsName
from ctherd.model.router import HostName, Placement
from ctherd.plan.explain import destinations_in_words

_ROUTERS: Final = "/v2.0/routers"
_FULL: Final = {"extension": "ctherd-conntrack-helper"}
"""Asks an answer to show what ctherd adds: placements, destinations and status."""


@dataclass(frozen=True, slots=True)
class RemoteHelper:
    """An assignment on the server, and what it tells of it beside; *told* as in the API."""

    assignment: Assignment
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> AssignmentId:
        """What the server calls it."""
        return self.assignment.id


@dataclass(frozen=True, slots=True)
class RemoteRouter:
    """A router on the server, with its helpers in the order of their ids."""

    id: str
    name: str
    description: str
    placements: tuple[Placement, ...]
    helpers: Mapping[AssignmentKey, RemoteHelper]

    @property
    def desired(self) -> dict[AssignmentKey, Destinations]:
        """What it has, as plans compare it."""
        return {key: each.assignment.destinations for key, each in self.helpers.items()}


class Routers:
    """Reads and changes routers through a connection, whose errors pass.

    Raises: RemoteProtocolError from those that read, if the server tells what cannot be.
    """

    def __init__(self, connection: Connection, *, wait_s: float = 0.0) -> None:
        self._connection = connection
        self._wait_s = wait_s

    def all(self, **filters: str) -> list[RemoteRouter]:
        """Return the routers that we may see and *filters* let through, by name."""
        told = self._connection.ask("GET", _ROUTERS, query={**_FULL, **filters})
        with _understood():
            routers = [self._router(each) for each in told["routers"]]
        return sorted(routers, key=lambda each: each.name)

    def create(self, name: str, description: str, placement: Placement) -> str:
        """Make a router without helpers; return its id."""
        body = {"name": name, "description": description, "placements": _plain([placement])}
        told = self._connection.ask("POST", _ROUTERS, body={"router": body})
        with _understood():
            return str(told["router"]["id"])

    def place(self, router: str, placement: Placement) -> None:
        """Move a router to *placement*, and away from everywhere else."""
        body = {"router": {"placements": _plain([placement])}}
        self._connection.ask("PUT", f"{_ROUTERS}/{router}", body=body)

    def delete(self, router: str) -> None:
        """Delete a router and all of its helpers."""
        self._connection.ask("DELETE", f"{_ROUTERS}/{router}", **self._waiting(True))

    def add(self, router: str, assignments: Sequence[Assignment], *, last: bool) -> None:
        """Declare *assignments*, all or none; *last* as for the other changes of helpers: wait."""
        body = {"conntrack_helpers": [_declaration(each) for each in assignments]}
        self._connection.ask("POST", _helpers(router), body=body, **self._waiting(last))

    def change(
        self, router: str, helper: AssignmentId, differs: Mapping[str, Any], *, last: bool
    ) -> None:
        """Change of a helper what *differs*, as bodies have it."""
        body = {"conntrack_helper": dict(differs)}
        self._connection.ask(
            "PUT", f"{_helpers(router)}/{helper}", body=body, **self._waiting(last)
        )

    def remove(self, router: str, helper: AssignmentId, *, last: bool) -> None:
        """Take a helper away."""
        self._connection.ask("DELETE", f"{_helpers(router)}/{helper}", **self._waiting(last))

    def helpers(self, router: str) -> dict[AssignmentKey, RemoteHelper]:
        """Return the helpers of a router."""
        told = self._connection.ask("GET", _helpers(router), query=_FULL)
        with _understood():
            helpers = [_helper(each) for each in told["conntrack_helpers"]]
        return {each.assignment.key: each for each in helpers}

    def _router(self, told: Mapping[str, Any]) -> RemoteRouter:
        return RemoteRouter(
            str(told["id"]),
            str(told["name"]),
            str(told["description"]),
            tuple(
                Placement(HostName(each["host"]), NetnsName(each["netns"]))
                for each in told.get("placements", ())
            ),
            self.helpers(told["id"]) if told["conntrack_helpers"] else {},
        )

    def _waiting(self, last: bool) -> dict[str, Any]:
        if not (last and self._wait_s):
            return {}
        return {"query": {"wait": str(math.ceil(self._wait_s))}, "patience_s": self._wait_s}


def router_as_data(router: RemoteRouter) -> dict[str, Any]:
    """Return *router* as `ctherd show -o json` prints it."""
    return {
        "router": router.name,
        "id": router.id,
        "placements": _plain(router.placements),
        "assignments": [_shown(each) for each in router.helpers.values()],
    }


def _shown(helper: RemoteHelper) -> dict[str, Any]:
    return {
        "id": helper.id,
        "protocol": helper.assignment.protocol.value,
        "port": helper.assignment.port,
        "helper": helper.assignment.helper,
        "desired": destinations_in_words(helper.assignment.destinations),
        "on_revoke": helper.assignment.on_revoke.value,
        "adopt_flows": helper.assignment.adopt_flows,
        "status": helper.told["status"],
        "reason": helper.told["status_reason"],
        "details": helper.told["status_details"],
    }


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, InvalidDeclaration) as error:
        raise RemoteProtocolError(f"the server tells what cannot be: {error!r}") from error


def _helper(told: Mapping[str, Any]) -> RemoteHelper:
    return RemoteHelper(
        Assignment(
            AssignmentId(told["id"]),
            told["helper"],
            Protocol(told["protocol"]),
            int(told["port"]),
            tuple(parse_prefix(each) for each in told["destinations"]),
            # A server from before these had nothing else.
            OnRevoke(told.get("on_revoke", OnRevoke.DETACH)),
            bool(told.get("adopt_flows", False)),
        ),
        told,
    )


def adjustable(assignment: Assignment) -> dict[str, Any]:
    """Return what bodies have of an assignment beside what its key says."""
    return {
        "destinations": [str(prefix) for prefix in assignment.destinations],
        "on_revoke": assignment.on_revoke.value,
        "adopt_flows": assignment.adopt_flows,
    }


def difference(before: Assignment, after: Assignment) -> dict[str, Any]:
    """Return what of *after*, as bodies have it, is otherwise in *before*; both of one key."""
    was = adjustable(before)
    return {name: value for name, value in adjustable(after).items() if was[name] != value}


def _declaration(assignment: Assignment) -> dict[str, Any]:
    usual = {"on_revoke": OnRevoke.DETACH.value, "adopt_flows": False}
    said = adjustable(assignment).items()
    # What is as it usually is needs no words, and a server that knows none understands.
    return {
        "helper": assignment.helper,
        "protocol": assignment.protocol.value,
        "port": assignment.port,
        **{name: value for name, value in said if usual.get(name) != value},
    }


def _plain(placements: Iterable[Placement]) -> list[dict[str, str]]:
    return [{"host": each.host, "netns": each.netns} for each in placements]


def _helpers(router: str) -> str:
    return f"{_ROUTERS}/{router}/conntrack_helpers"
