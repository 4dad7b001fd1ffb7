"""A router as its owner declared it to the server: the record behind the API and the documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, NewType

from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.document import NetnsName, RouterId

HostName = NewType("HostName", str)
"""What an agent's host is called by the server; one path component of a URL."""

ProjectId = NewType("ProjectId", str)
"""Who owns a router (OpenStack's project, formerly tenant)."""


class Placement(NamedTuple):
    """Where a router lives: in *netns* of *host*."""

    host: HostName
    netns: NetnsName


@dataclass(frozen=True, slots=True)
class DeclaredHelper:
    """An assignment and what its author wrote beside it; *declared_at* is RFC 3339, UTC."""

    assignment: Assignment
    description: str = ""
    declared_at: str = ""


@dataclass(frozen=True, slots=True)
class Router:
    """One router of one project, with every helper that it shall have.

    Shape: *serial* grows by one with every change of what hosts shall make true, and never starts
    again; *revision_number* is what the API shows, and grows with what its clients can see; a
    router whose *admin_state_up* is false has no helper anywhere; *withdrawing* are placements
    that the router left, with the time (RFC 3339, UTC) at which it did, until their agents have
    acknowledged; *held* are those of its placements that wait for that; *gateway* and *routes* are
    kept for clients and mean nothing here.
    """

    id: RouterId
    project: ProjectId
    name: str
    serial: int
    revision_number: int
    created_at: str
    updated_at: str
    description: str = ""
    admin_state_up: bool = True
    gateway: Mapping[str, object] | None = None
    routes: tuple[Mapping[str, object], ...] = ()
    placements: tuple[Placement, ...] = ()
    withdrawing: Mapping[Placement, str] = field(default_factory=dict)
    held: tuple[Placement, ...] = ()
    helpers: Mapping[AssignmentId, DeclaredHelper] = field(default_factory=dict)
