"""Errors as clients of the Networking API expect them: a status, a type, and the reference's words.

``{"NeutronError": {"type": …, "message": …, "detail": ""}}``. Which of our own errors becomes which
stands in ``fault_of``. What is not listed there is no client's business.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from ctherd.authz.caller import IdentityUnavailable, Unauthenticated
from ctherd.errors import Contended, CtherdError, InvalidDeclaration, Overloaded
from ctherd.service import refusals
from ctherd.store.port import OutcomeUnknown, Unavailable

_LONGEST_ECHO: Final = 200
"""Characters of a client's own value that an error repeats to it."""


class Fault(NamedTuple):
    """What a client is told; *headers* come on top of those of every answer."""

    status: int
    type: str
    message: str
    headers: Mapping[str, str] = {}


class Refused(Exception):
    """The request is answered with *fault*, and nothing else happens."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def bad_request(message: str, type: str = "HTTPBadRequest") -> Refused:
    """Return the refusal of a request that cannot be meant."""
    return Refused(Fault(400, type, message))


def invalid_input(words: str) -> Refused:
    """Return the refusal of a value that cannot be converted to its type."""
    return bad_request(f"Invalid input for operation: {words}.", "InvalidInput")


def echo(value: object) -> str:
    """Return *value* as an error may repeat it: as text, and not all of a long one."""
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_ECHO else f"{text[:_LONGEST_ECHO]}…"


_MALFORMED: Final = (
    "The server could not comply with the request since it is either malformed or otherwise "
    "incorrect."
)
_LATER: Final = {"retry-after": "1"}

NOT_FOUND: Final = Fault(404, "HTTPNotFound", "The resource could not be found.")
UNAUTHENTICATED: Final = Fault(
    401,
    "HTTPUnauthorized",
    "The request you have made requires authentication.",
    {"www-authenticate": 'Bearer realm="ctherd"'},
)
INTERNAL: Final = Fault(
    500,
    "HTTPInternalServerError",
    "Request Failed: internal server error while processing your request.",
)
TOO_LARGE: Final = Fault(
    413,
    "HTTPRequestEntityTooLarge",
    "The body of your request was too large for this server.",
    {"connection": "close"},
)
TOO_SLOW: Final = Fault(
    408,
    "HTTPRequestTimeout",
    "The server has waited too long for the request to be sent by the client.",
    {"connection": "close"},
)
TOO_MANY: Final = Fault(
    429,
    "HTTPTooManyRequests",
    "The client has sent too many requests in a given amount of time",
    _LATER,
)
OVERLOADED: Final = Fault(
    503,
    "HTTPServiceUnavailable",
    "The server is currently unavailable. Please try again at a later time.",
    _LATER,
)


def method_not_allowed(allowed: str) -> Refused:
    """Return the refusal of a method; *allowed* is the value of ``Allow``."""
    return Refused(Fault(405, "HTTPMethodNotAllowed", _MALFORMED, {"allow": allowed}))


def fault_of(error: CtherdError) -> Fault | None:
    """Return what a client is told of *error*; None: that something went wrong here."""
    match error:
        case refusals.HelperNotAllowed():
            return Fault(400, "ConntrackHelperNotAllowed", f"{error.what}.")
        case refusals.ProtocolUnsupported():
            words = (
                f"Conntrack Helper {error.helper} does not support: {error.protocol}. "
                f"Supported protocols are: {', '.join(error.supported)}"
            )
            return Fault(400, "InvalidProtocolForHelper", words)
        case refusals.DuplicateHelper():
            return _bad_helper(_duplicate(error))
        case InvalidDeclaration():
            return _bad_helper(f"{error}.")
        case refusals.HelperUnknown():
            words = f"Conntrack Helper {echo(error.helper)} could not be found."
            return Fault(404, "ConntrackHelperNotFound", words)
        case refusals.RouterUnknown():
            return Fault(404, "RouterNotFound", f"Router {echo(error.router)} could not be found")
        case refusals.Hidden():
            return NOT_FOUND
        case refusals.Forbidden():
            words = f"rule:{error.rule} is disallowed by policy"
            return Fault(403, "PolicyNotAuthorized", words)
        case refusals.OverQuota():
            words = "Quota exceeded for resources: ['conntrack_helper']."
            return Fault(409, "OverQuota", words)
        case refusals.PlaceTaken():
            return Fault(409, "PlacementInUse", f"{error}.")
        case Unauthenticated():
            return UNAUTHENTICATED
        case Overloaded():
            return OVERLOADED._replace(headers={"retry-after": str(error.retry_after_s)})
        case IdentityUnavailable() | Unavailable() | OutcomeUnknown() | Contended():
            return OVERLOADED
        case refusals.RecordUnsound():
            return OVERLOADED
    return None


def _bad_helper(words: str) -> Fault:
    return Fault(400, "BadRequest", f"Bad conntrack_helper request: {words}")


def _duplicate(error: refusals.DuplicateHelper) -> str:
    values = {
        "router_id": str(error.router),
        "protocol": str(error.key.protocol),
        "port": error.key.port,
        "helper": error.key.helper,
    }
    return (
        "A duplicate conntrack helper entry with same attributes already exists, "
        f"conflicting values are {values}."
    )
