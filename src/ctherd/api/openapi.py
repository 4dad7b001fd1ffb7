"""The OpenAPI document of the tenants' API, made from its attribute maps."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ctherd import __version__
from ctherd.api.attributes import REQUIRED, Attribute, ResourceMap
from ctherd.api.extensions import EXTENSIONS, OURS
from ctherd.api.helper_attributes import HELPERS
from ctherd.api.listing import EXTENSION
from ctherd.api.router_attributes import ROUTERS

Node = dict[str, Any]

_ERRORS: Final = {
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
_BODY_ERRORS: Final = ("400", "401", "403", "404", "405", "408", "409", "413", "429", "503")
_READ_ERRORS: Final = ("400", "401", "404", "405", "429", "503")


def document() -> Node:
    """Return the document, which depends on nothing but the code."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "ctherd",
            "version": __version__,
            "description": "Conntrack helpers of Linux routers, compatible with the OpenStack "
            f"Networking API v2.0. What `{OURS}` adds is shown where a request names that "
            "extension or uses what it adds.",
        },
        "security": [{"token": []}, {"bearer": []}],
        "paths": {
            "/": {"get": _versions()},
            "/v2.0/extensions": {"get": _read("extensions", _extensions(), "list_extensions")},
            "/v2.0/extensions/{alias}": {
                "parameters": [_path_parameter("alias")],
                "get": _read("extension", _ref("extension"), "show_extension"),
            },
            **_resource_paths(ROUTERS, "/v2.0/routers", []),
            **_resource_paths(
                HELPERS, "/v2.0/routers/{router_id}/conntrack_helpers", ["router_id"]
            ),
        },
        "components": {
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "responses": {status: _error(status) for status in _ERRORS},
            "schemas": {
                "error": _error_schema(),
                "extension": _extension_schema(),
                **_schemas(ROUTERS),
                **_schemas(HELPERS),
            },
        },
    }


# -- paths -----------------------------------------------------------------------------------------


def _resource_paths(resource: ResourceMap, path: str, parents: Iterable[str]) -> Node:
    above = [_path_parameter(each) for each in parents]
    own = _path_parameter(f"{resource.name}_id")
    return {
        path: {
            "parameters": above,
            "get": _list(resource),
            "post": _create(resource),
        },
        f"{path}/{{{resource.name}_id}}": {
            "parameters": [*above, own],
            "get": _show(resource),
            "put": _update(resource),
            "delete": _delete(resource),
        },
    }


def _list(resource: ResourceMap) -> Node:
    filters = [_filter(each) for each in resource.attributes.values() if each.filter]
    paging = [
        _query("limit", {"type": "integer", "minimum": 0}, "0 is all."),
        _query("marker", {"type": "string"}, "The id of the last item that is known."),
        _query("page_reverse", {"type": "boolean"}, "The page before the marker."),
        _query_list("sort_key", _names(resource, sorts=True), "Each with a sort_dir."),
        _query_list("sort_dir", ["asc", "desc"], "One for each sort_key."),
        _query_list("fields", list(resource.attributes), "Show these alone."),
    ]
    links = {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["rel", "href"],
            "properties": {
                "rel": {"type": "string", "enum": ["next", "previous"]},
                "href": {"type": "string", "format": "uri"},
            },
        },
    }
    schema = {
        "type": "object",
        "required": [resource.collection],
        "properties": {
            resource.collection: {"type": "array", "items": _ref(f"{resource.name}_fields")},
            f"{resource.collection}_links": links,
        },
    }
    return _operation(
        f"list_{resource.collection}",
        resource,
        {"200": _said("What the caller may see.", schema)},
        _READ_ERRORS,
        parameters=[*filters, *paging, _extension_parameter()],
    )


def _show(resource: ResourceMap) -> Node:
    return _operation(
        f"show_{resource.name}",
        resource,
        {"200": _said("It.", _wrapped(resource.name, f"{resource.name}_fields"))},
        _READ_ERRORS,
        parameters=[
            _query_list("fields", list(resource.attributes), "Show these alone."),
            _extension_parameter(),
        ],
    )


def _create(resource: ResourceMap) -> Node:
    one = _wrapped(resource.name, f"{resource.name}_create")
    bulk = _wrapped_list(resource.collection, f"{resource.name}_create")
    made = _wrapped(resource.name, resource.name)
    made_bulk = _wrapped_list(resource.collection, resource.name)
    return _operation(
        f"create_{resource.name}",
        resource,
        {"201": _said("Made: all of it, or nothing.", {"oneOf": [made, made_bulk]})},
        _BODY_ERRORS,
        parameters=[_extension_parameter(), _wait_parameter()],
        body={"oneOf": [one, bulk]},
    )


def _update(resource: ResourceMap) -> Node:
    return _operation(
        f"update_{resource.name}",
        resource,
        {"200": _said("As it is now.", _wrapped(resource.name, resource.name))},
        _BODY_ERRORS,
        parameters=[_extension_parameter(), _wait_parameter()],
        body=_wrapped(resource.name, f"{resource.name}_update"),
    )


def _delete(resource: ResourceMap) -> Node:
    gone = {
        "204": {"description": "Gone."},
        "202": {"description": "Gone, but not every agent has said so while it was waited for."},
    }
    return _operation(
        f"delete_{resource.name}",
        resource,
        gone,
        _BODY_ERRORS,
        parameters=[_wait_parameter()],
    )


def _read(name: str, schema: Node, operation: str) -> Node:
    wrapped = {"type": "object", "required": [name], "properties": {name: schema}}
    errors = {status: _error_ref(status) for status in ("401", "404", "429", "503")}
    return {
        "operationId": operation,
        "tags": ["extensions"],
        "responses": {"200": _said("What there is.", wrapped), **errors},
    }


def _versions() -> Node:
    schema = {
        "type": "object",
        "required": ["versions"],
        "properties": {"versions": {"type": "array", "items": {"type": "object"}}},
    }
    return {
        "operationId": "versions",
        "tags": ["versions"],
        "security": [],
        "responses": {"200": _said("Every version.", schema)},
    }


def _operation(
    name: str,
    resource: ResourceMap,
    answers: Node,
    errors: Iterable[str],
    *,
    parameters: list[Node],
    body: Node | None = None,
) -> Node:
    told: Node = {
        "operationId": name,
        "tags": [resource.collection],
        "parameters": parameters,
        "responses": answers | {status: _error_ref(status) for status in errors},
    }
    if body is not None:
        content = {"application/json": {"schema": body}}
        told["requestBody"] = {"required": True, "content": content}
    return told


# -- parameters ------------------------------------------------------------------------------------


def _path_parameter(name: str) -> Node:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query(name: str, schema: Mapping[str, Any], description: str) -> Node:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _query_list(name: str, values: list[str], description: str) -> Node:
    schema = {"type": "array", "items": {"type": "string", "enum": values}}
    return {**_query(name, schema, description), "style": "form", "explode": True}


def _filter(attribute: Attribute) -> Node:
    kept = {"type", "enum", "minimum", "maximum"} & attribute.schema.keys()
    schema = {name: attribute.schema[name] for name in sorted(kept)}
    repeated = {"type": "array", "items": schema}
    words = "One that fits any of the values is shown."
    return {**_query(attribute.name, repeated, words), "style": "form", "explode": True}


def _extension_parameter() -> Node:
    words = "Show the attributes of this extension, too."
    return _query(EXTENSION, {"type": "string", "enum": list(EXTENSIONS)}, words)


def _wait_parameter() -> Node:
    words = f"Answer when the agents have reported, or after so many seconds ({OURS})."
    return _query("wait", {"type": "integer", "minimum": 0, "maximum": 60}, words)


def _names(resource: ResourceMap, *, sorts: bool) -> list[str]:
    return [name for name, each in resource.attributes.items() if each.sorts is sorts]


# -- schemas ---------------------------------------------------------------------------------------


def _schemas(resource: ResourceMap) -> Node:
    every = resource.attributes.values()
    shown = {each.name: dict(each.schema) for each in every if each.shown}
    post = {each.name: dict(each.schema) for each in every if each.post}
    put = {each.name: dict(each.schema) for each in every if each.put}
    required = [each.name for each in every if each.post and each.default is REQUIRED]
    always = [each.name for each in every if each.shown and not each.ours]
    made: Node = {"type": "object", "additionalProperties": False, "properties": post}
    return {
        resource.name: {"type": "object", "required": always, "properties": shown},
        f"{resource.name}_fields": {"type": "object", "properties": shown},
        f"{resource.name}_create": made | ({"required": required} if required else {}),
        f"{resource.name}_update": {
            "type": "object",
            "additionalProperties": False,
            "properties": put,
        },
    }


def _extensions() -> Node:
    return {"type": "array", "items": _ref("extension")}


def _extension_schema() -> Node:
    names = ["alias", "name", "description", "updated"]
    return {
        "type": "object",
        "required": [*names, "links"],
        "properties": {
            **{name: {"type": "string"} for name in names},
            "links": {"type": "array", "items": {"type": "object"}},
        },
    }


def _error_schema() -> Node:
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


def _error(status: str) -> Node:
    return _said(_ERRORS[status], _ref("error"))


def _error_ref(status: str) -> Node:
    return {"$ref": f"#/components/responses/{status}"}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _wrapped(name: str, schema: str) -> Node:
    return {"type": "object", "required": [name], "properties": {name: _ref(schema)}}


def _wrapped_list(name: str, schema: str) -> Node:
    items = {"type": "array", "minItems": 1, "items": _ref(schema)}
    return {"type": "object", "required": [name], "properties": {name: items}}


def _said(description: str, schema: Node) -> Node:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
