"""Words that the OpenAPI document is spelled with: parameters, answers, and the shape of errors."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

Node = dict[str, Any]

ERRORS: Final = {
    "400": "The request cannot be meant.",
    "401": "No credentials, or none that prove anything.",
    "403": "The policy does not allow it.",
    "404": "It does not exist, or must not be known.",
    "405": "There is no such method here.",
    "408": "The body took too long.",
    "409": "Over quota, or the place belongs to another router.",
    "413": "The body is too large.",
    "429": "Too many requests of one caller; see Retry-After.",
    "503": "Overloaded, or something is away; see Retry-After.",
}


def path_parameter(name: str) -> Node:
    """Return a parameter in the path."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def query(name: str, schema: Mapping[str, Any], description: str) -> Node:
    """Return a parameter in the query."""
    return {"name": name, "in": "query", "schema": schema, "description": description}


def query_list(name: str, values: list[str], description: str) -> Node:
    """Return a parameter that may be repeated."""
    schema = {"type": "array", "items": {"type": "string", "enum": values}}
    return {**query(name, schema, description), "style": "form", "explode": True}


def error_schema() -> Node:
    """Return the shape of every error."""
    names = ["type", "message", "detail"]
    inner = {
        "type": "object",
        "required": names,
        "properties": {name: {"type": "string"} for name in names},
    }
    return {
        "type": "object",
        "required": ["NeutronError"],
        "properties": {"NeutronError": inner},
    }


def error(status: str) -> Node:
    """Return the answer of an error."""
    return said(ERRORS[status], ref("error"))


def error_ref(status: str) -> Node:
    """Return a reference to the answer of an error."""
    return {"$ref": f"#/components/responses/{status}"}


def ref(name: str) -> Node:
    """Return a reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def said(description: str, schema: Node) -> Node:
    """Return an answer in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def errors(statuses: Iterable[str]) -> Node:
    """Return the answers of errors."""
    return {status: error_ref(status) for status in statuses}
