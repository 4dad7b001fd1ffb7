"""The attributes of a router."""

from typing import Any, Final

from ctherd.api import values
from ctherd.api.attributes import Attribute, ResourceMap

_TEXT: Final = {"type": "string", "maxLength": values.LONGEST_TEXT}
_TIME: Final = {"type": "string", "format": "date-time"}
_GATEWAY: Final = {
    "type": "object",
    "nullable": True,
    "description": "Kept for clients that send it; it means nothing here.",
    "additionalProperties": False,
    "required": ["network_id"],
    "properties": {
        "network_id": {"type": "string", "format": "uuid"},
        "enable_snat": {"type": "boolean"},
        "external_fixed_ips": {
            "type": "array",
            "maxItems": values.MOST_ROUTES,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "subnet_id": {"type": "string", "format": "uuid"},
                    "ip_address": {"type": "string"},
                },
            },
        },
    },
}
_ROUTES: Final = {
    "type": "array",
    "maxItems": values.MOST_ROUTES,
    "description": "Kept for clients that send it; it means nothing here.",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["destination", "nexthop"],
        "properties": {"destination": {"type": "string"}, "nexthop": {"type": "string"}},
    },
}
_HELPERS: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["protocol", "port", "helper"],
        "properties": {
            "protocol": {"type": "string"},
            "port": {"type": "integer"},
            "helper": {"type": "string"},
        },
    },
}
_PLACEMENTS: Final = {
    "type": "array",
    "maxItems": values.MOST_PLACEMENTS,
    "description": "Where the router lives; an HA or distributed one has several. Without a "
    "`netns` it is `qrouter-<id>`. For administrators.",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["host"],
        "properties": {"host": {"type": "string"}, "netns": {"type": "string"}},
    },
}


def _shown(name: str, schema: dict[str, Any], *, sorts: bool = False) -> Attribute:
    return Attribute(name, schema, sorts=sorts)


def _project(name: str) -> Attribute:
    return Attribute(name, _TEXT, values.text, post=True, default=None, filter=str, sorts=True)


ROUTERS: Final = ResourceMap(
    "router",
    "routers",
    (
        Attribute("id", {"type": "string", "format": "uuid"}, filter=str, sorts=True),
        _project("project_id"),
        _project("tenant_id"),
        Attribute(
            "name", _TEXT, values.name, post=True, put=True, default="", filter=str, sorts=True
        ),
        Attribute(
            "description",
            _TEXT,
            values.text,
            post=True,
            put=True,
            default="",
            filter=str,
            sorts=True,
        ),
        Attribute(
            "admin_state_up",
            {"type": "boolean", "description": "False: no helper of it is in any kernel."},
            values.boolean,
            post=True,
            put=True,
            default=True,
            filter=values.boolean,
            sorts=True,
        ),
        _shown("status", {"type": "string", "enum": ["ACTIVE"]}, sorts=True),
        Attribute(
            "external_gateway_info", _GATEWAY, values.gateway, post=True, put=True, default=None
        ),
        Attribute("routes", _ROUTES, values.routes, post=True, put=True, default=()),
        _shown("conntrack_helpers", _HELPERS),
        Attribute(
            "revision_number",
            {"type": "integer", "description": "Grows with every change, helpers included."},
            filter=values.whole_number,
            sorts=True,
        ),
        _shown("created_at", _TIME, sorts=True),
        _shown("updated_at", _TIME, sorts=True),
        Attribute(
            "placements",
            _PLACEMENTS,
            values.placements,
            post=True,
            put=True,
            default=(),
            ours=True,
        ),
    ),
)
