"""Router records in the store: where they lie, how they are spelled, and the seal they bear.

A record is signed as a whole. Who edits the store cannot make the server sign what nobody declared:
a record whose seal does not fit is never the ground of another.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from ctherd.errors import InvalidDeclaration, RemoteProtocolError
from ctherd.model.document import NetnsName, RouterId
from ctherd.model.router import DeclaredHelper, HostName, Placement, ProjectId, Router
from ctherd.signing.assignments import read_assignment, spell_assignment
from ctherd.signing.canonical import Plain
from ctherd.signing.envelope import Envelope, Signer, Verifier, from_plain

KIND: Final = "router"

ROUTERS: Final = "router/"
PLACES: Final = "place/"
SLOTS: Final = "slot/"
DOCUMENTS: Final = "doc/"
STATUSES: Final = "status/"
HOSTS: Final = "host/"
LEASES: Final = "lease/"
KEYS: Final = "keys/"

MIRRORED: Final = (ROUTERS, PLACES, SLOTS, DOCUMENTS, STATUSES, HOSTS, LEASES, KEYS)
"""What every server keeps in memory; the audit is the one thing that it does not."""


def router_key(router: RouterId) -> str:
    """Return where the record of *router* lies."""
    return f"{ROUTERS}{router}"


def place_key(placement: Placement) -> str:
    """Return the key that only one router can have."""
    return f"{PLACES}{placement.host}/{placement.netns}"


def document_key(router: RouterId, placement: Placement) -> str:
    """Return where the signed document of *router* for *placement* lies."""
    return f"{DOCUMENTS}{placement.host}/{router}/{placement.netns}"


def write_envelope(envelope: Envelope) -> bytes:
    """Return *envelope* as the store keeps it."""
    return json.dumps(envelope.as_plain(), separators=(",", ":")).encode()


def hinted(value: bytes, request: str) -> bytes:
    """Return a stored envelope with the id of the request that caused it, which nobody signs."""
    return json.dumps({**json.loads(value), "request": request}, separators=(",", ":")).encode()


def hint_of(value: bytes) -> str:
    """Return the id of the request that caused it, "" if it is not known."""
    try:
        return str(json.loads(value).get("request", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""


def read_envelope(value: bytes) -> Envelope:
    """Return the envelope that the store keeps as *value*.

    Raises: RemoteProtocolError.
    """
    try:
        return from_plain(json.loads(value))
    except ValueError as error:
        raise RemoteProtocolError(f"the store holds what is no envelope: {error}") from error


def write_router(router: Router, signer: Signer) -> bytes:
    """Return *router* sealed, as the store keeps it."""
    return write_envelope(signer.sign({"kind": KIND, **router_as_plain(router)}))


def read_router(value: bytes, verifier: Verifier) -> Router:
    """Return the router that *value* is the sealed record of.

    Raises: SignatureRefused if anybody but a server wrote it; RemoteProtocolError if it is none.
    """
    payload = verifier.open(read_envelope(value), KIND)
    try:
        return _router(payload)
    except (KeyError, TypeError, ValueError, InvalidDeclaration) as error:
        raise RemoteProtocolError(f"a sealed router that cannot be meant: {error!r}") from error


# -- plain data ------------------------------------------------------------------------------------


def router_as_plain(router: Router) -> Plain:
    """Return a router with its helpers as records and the audit spell it."""
    return {
        "id": router.id,
        "project": router.project,
        "name": router.name,
        "description": router.description,
        "serial": router.serial,
        "revision_number": router.revision_number,
        "created_at": router.created_at,
        "updated_at": router.updated_at,
        "admin_state_up": router.admin_state_up,
        "gateway": None if router.gateway is None else dict(router.gateway),
        "routes": [dict(each) for each in router.routes],
        "placements": [list(each) for each in router.placements],
        "withdrawing": [[*each, since] for each, since in router.withdrawing.items()],
        "held": [list(each) for each in router.held],
        "helpers": [helper_as_plain(each) for each in router.helpers.values()],
    }


def helper_as_plain(declared: DeclaredHelper) -> Plain:
    """Return a helper as records and the audit spell it."""
    return {
        **spell_assignment(declared.assignment),
        "description": declared.description,
        "declared_at": declared.declared_at,
    }


def _router(payload: Plain) -> Router:
    helpers = [_helper(each) for each in payload["helpers"]]
    return Router(
        id=RouterId(payload["id"]),
        project=ProjectId(payload["project"]),
        name=payload["name"],
        description=payload["description"],
        serial=payload["serial"],
        revision_number=payload["revision_number"],
        created_at=payload["created_at"],
        updated_at=payload["updated_at"],
        admin_state_up=payload["admin_state_up"],
        gateway=payload["gateway"],
        routes=tuple(payload["routes"]),
        placements=_placements(payload["placements"]),
        withdrawing={
            _placement(host, netns): since for host, netns, since in payload["withdrawing"]
        },
        held=_placements(payload["held"]),
        helpers={each.assignment.id: each for each in helpers},
    )


def _helper(plain: Mapping[str, Any]) -> DeclaredHelper:
    return DeclaredHelper(read_assignment(plain), plain["description"], plain["declared_at"])


def _placements(plain: list[list[str]]) -> tuple[Placement, ...]:
    return tuple(_placement(host, netns) for host, netns in plain)


def _placement(host: str, netns: str) -> Placement:
    return Placement(HostName(host), NetnsName(netns))
