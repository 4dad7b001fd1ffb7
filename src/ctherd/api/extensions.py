"""Which extensions of the Networking API are served, and how an answer is asked to show our own."""

from typing import Any, Final

from ctherd.api.answer import Answer, answer
from ctherd.api.listing import EXTENSION
from ctherd.api.neutron_errors import Fault, Refused, bad_request, echo
from ctherd.api.request import Query, Request

OURS: Final = "ctherd-conntrack-helper"


def _extension(alias: str, name: str, description: str, updated: str) -> dict[str, Any]:
    return {
        "alias": alias,
        "name": name,
        "description": description,
        "updated": updated,
        "links": [],
    }


# The first three in the reference's words: clients compare aliases, people read the rest.
EXTENSIONS: Final = {
    each["alias"]: each
    for each in (
        _extension(
            "router",
            "Neutron L3 Router",
            "Router abstraction for basic L3 forwarding between L2 Neutron networks and access to "
            "external networks via a NAT gateway.",
            "2012-07-20T10:00:00-00:00",
        ),
        _extension(
            "l3-conntrack-helper",
            "L3 Conntrack helper",
            "Allow adding CT target rules for conntrack helper",
            "2019-04-04T10:00:00-00:00",
        ),
        _extension(
            "expose-l3-conntrack-helper",
            "Expose CT target rules for conntrack helper",
            "Expose allow adding CT target rules for conntrack helper",
            "2019-04-04T10:00:00-00:00",
        ),
        _extension(
            OURS,
            "What the kernel says of conntrack helpers",
            "Adds destinations, description, on_revoke, adopt_flows, status and its reasons to "
            "conntrack helpers, and placements to routers, where a request names this extension or "
            "uses what it adds; and ?wait=SECONDS on changes.",
            "2026-11-23T00:00:00-00:00",
        ),
    )
}


def asks_for_ours(query: Query) -> bool:
    """Tell whether *query* names our extension.

    Raises: Refused for an extension that there is not.
    """
    named = [value for name, value in query if name == EXTENSION]
    if unknown := [echo(each) for each in named if each not in EXTENSIONS]:
        raise bad_request(f"{unknown} is no extension; known are {', '.join(EXTENSIONS)}")
    return OURS in named


async def list_extensions(request: Request) -> Answer:
    """Answer ``GET /v2.0/extensions``."""
    return answer({"extensions": list(EXTENSIONS.values())})


async def show_extension(request: Request, alias: str) -> Answer:
    """Answer ``GET /v2.0/extensions/{alias}``."""
    found = EXTENSIONS.get(alias)
    if found is None:
        words = f"Extension with alias {echo(alias)} does not exist"
        raise Refused(Fault(404, "HTTPNotFound", words))
    return answer({"extension": found})
