"""The attributes of a conntrack helper."""

from typing import Final

from ctherd.api import values
from ctherd.api.attributes import Attribute, ResourceMap
from ctherd.model.assignment import OnRevoke
from ctherd.model.catalog import names
from ctherd.model.evidence import Proof
from ctherd.model.status import State

_ID: Final = {"type": "string", "format": "uuid", "description": "Drawn by the server."}
_PROJECT: Final = {
    "type": "string",
    "maxLength": values.LONGEST_TEXT,
    "description": "Accepted and not kept: a helper belongs to the project of its router.",
}
_PROTOCOL: Final = {"type": "string", "enum": ["tcp", "udp"], "example": "udp"}
_PORT: Final = {"type": "integer", "minimum": 1, "maximum": 65535, "example": 69}
_HELPER: Final = {
    "type": "string",
    "maxLength": values.LONGEST_HELPER,
    "example": "tftp",
    "description": f"By default one of {', '.join(names())}. Case matters.",
}
_DESTINATIONS: Final = {
    "type": "array",
    "maxItems": values.MOST_DESTINATIONS,
    "items": {"type": "string"},
    "example": ["203.0.113.0/24"],
    "description": "Server addresses (CIDR) for which the helper works; empty: any.",
}
_ON_REVOKE: Final = {
    "type": "string",
    "enum": [each.value for each in OnRevoke],
    "default": OnRevoke.DETACH.value,
    "description": "What happens to live flows when the helper is taken away.",
}
_ADOPT_FLOWS: Final = {
    "type": "boolean",
    "default": False,
    "description": "Whether it reaches connections that are open already when it comes: their "
    "conntrack entries are removed. Needs `ctherd:adopt_flows`.",
}
_DESCRIPTION: Final = {"type": "string", "maxLength": values.LONGEST_TEXT}
_STATUS: Final = {
    "type": "string",
    "enum": [state.value for state in State],
    "description": "What the kernels of the router's hosts say, summed up.",
}
_REASON: Final = {"type": "string", "description": "Why it is not simply `active`."}
_DETAILS: Final = {
    "type": "array",
    "description": "One for each host and family; only those who may see placements see the host.",
    "items": {
        "type": "object",
        "required": ["family", "status", "reason", "since", "verified_at", "verified_by"],
        "properties": {
            "host": {"type": "string"},
            "family": {"type": "string", "enum": ["ipv4", "ipv6"]},
            "status": {"type": "string", "enum": [state.value for state in State]},
            "reason": {"type": "string"},
            "since": {"type": "string", "format": "date-time", "nullable": True},
            "verified_at": {
                "type": "string",
                "format": "date-time",
                "nullable": True,
                "description": "When `ctherd verify` proved it there; null if it did not, or if "
                "what it proved has changed since.",
            },
            "verified_by": {
                "type": "string",
                "nullable": True,
                "enum": [*(each.value for each in Proof), None],
                "description": "How: by the kernel's state alone, or by a flow through a copy of "
                "the router, which was partial or not.",
            },
        },
    },
}

HELPERS: Final = ResourceMap(
    "conntrack_helper",
    "conntrack_helpers",
    (
        Attribute("id", _ID, filter=str, sorts=True),
        Attribute("project_id", _PROJECT, values.text, post=True, default=None, shown=False),
        Attribute("tenant_id", _PROJECT, values.text, post=True, default=None, shown=False),
        Attribute(
            "protocol",
            _PROTOCOL,
            values.protocol,
            post=True,
            put=True,
            filter=values.protocol_filter,
            sorts=True,
        ),
        Attribute(
            "port",
            _PORT,
            values.port,
            post=True,
            put=True,
            filter=values.whole_number,
            sorts=True,
        ),
        Attribute("helper", _HELPER, values.helper, post=True, put=True, filter=str, sorts=True),
        Attribute(
            "destinations",
            _DESTINATIONS,
            values.destinations,
            post=True,
            put=True,
            default=(),
            ours=True,
        ),
        Attribute(
            "description",
            _DESCRIPTION,
            values.text,
            post=True,
            put=True,
            default="",
            filter=str,
            sorts=True,
            ours=True,
        ),
        Attribute(
            "on_revoke",
            _ON_REVOKE,
            values.on_revoke,
            post=True,
            put=True,
            default=OnRevoke.DETACH,
            ours=True,
        ),
        Attribute(
            "adopt_flows",
            _ADOPT_FLOWS,
            values.boolean,
            post=True,
            put=True,
            default=False,
            ours=True,
        ),
        Attribute("status", _STATUS, filter=values.status, sorts=True, ours=True),
        Attribute("status_reason", _REASON, ours=True),
        Attribute("status_details", _DETAILS, ours=True),
    ),
)
