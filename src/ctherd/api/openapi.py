"""The OpenAPI document: the tenants' API, made from its attribute maps, and what is beside it."""

from collections.abc import Iterable
from typing import Final

from ctherd import __version__
from ctherd.api.attributes import REQUIRED, Attribute, ResourceMap
from ctherd.api.extensions import EXTENSIONS, OURS
from ctherd.api.helper_attributes import HELPERS
from ctherd.api.listing import EXTENSION
from ctherd.api.openapi_beside import beside
from ctherd.api.openapi_words import (
    ERRORS,
    Node,
    error,
    error_schema,
    errors,
    path_parameter,
    query,
    query_list,
    ref,
    said,
)
from ctherd.api.router_attributes import ROUTERS

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
                "parameters": [path_parameter("alias")],
                "get": _read("extension", ref("extension"), "show_extension"),
            },
            **_resource_paths(ROUTERS, "/v2.0/routers", []),
            **_resource_paths(
                HELPERS, "/v2.0/routers/{router_id}/conntrack_helpers", ["router_id"]
            ),
            **beside(),
        },
        "components": {
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "responses": {status: error(status) for status in ERRORS},
            "schemas": {
                "error": error_schema(),
                "extension": _extension_schema(),
                **_schemas(ROUTERS),
                **_schemas(HELPERS),
            },
        },
    }


# -- paths -----------------------------------------------------------------------------------------


def _resource_paths(resource: ResourceMap, path: str, parents: Iterable[str]) -> Node:
    above = [path_parameter(each) for each in parents]
    own = path_parameter(f"{resource.name}_id")
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
        query("limit", {"type": "integer", "minimum": 0}, "0 is all."),
        query("marker", {"type": "string"}, "The id of the last item that is known."),
        query("page_reverse", {"type": "boolean"}, "The page before the marker."),
        query_list("sort_key", _names(resource, sorts=True), "Each with a sort_dir."),
        query_list("sort_dir", ["asc", "desc"], "One for each sort_key."),
        query_list("fields", list(resource.attributes), "Show these alone."),
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
            resource.collection: {"type": "array", "items": ref(f"{resource.name}_fields")},
            f"{resource.collection}_links": links,
        },
    }
    return _operation(
        f"list_{resource.collection}",
        resource,
        {"200": said("What the caller may see.", schema)},
        _READ_ERRORS,
        parameters=[*filters, *paging, _extension_parameter()],
    )


def _show(resource: ResourceMap) -> Node:
    return _operation(
        f"show_{resource.name}",
        resource,
        {"200": said("It.", _wrapped(resource.name, f"{resource.name}_fields"))},
        _READ_ERRORS,
        parameters=[
            query_list("fields", list(resource.attributes), "Show these alone."),
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
        {"201": said("Made: all of it, or nothing.", {"oneOf": [made, made_bulk]})},
        _BODY_ERRORS,
        parameters=[_extension_parameter(), _wait_parameter()],
        body={"oneOf": [one, bulk]},
    )


def _update(resource: ResourceMap) -> Node:
    return _operation(
        f"update_{resource.name}",
        resource,
        {"200": said("As it is now.", _wrapped(resource.name, resource.name))},
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
    return {
        "operationId": operation,
        "tags": ["extensions"],
        "responses": {
            "200": said("What there is.", wrapped),
            **errors(("401", "404", "429", "503")),
        },
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
        "responses": {"200": said("Every version.", schema)},
    }


def _operation(
    name: str,
    resource: ResourceMap,
    answers: Node,
    statuses: Iterable[str],
    *,
    parameters: list[Node],
    body: Node | None = None,
) -> Node:
    told: Node = {
        "operationId": name,
        "tags": [resource.collection],
        "parameters": parameters,
        "responses": answers | errors(statuses),
    }
    if body is not None:
        content = {"application/json": {"schema": body}}
        told["requestBody"] = {"required": True, "content": content}
    return told


# -- parameters ------------------------------------------------------------------------------------


def _filter(attribute: Attribute) -> Node:
    kept = {"type", "enum", "minimum", "maximum"} & attribute.schema.keys()
    schema = {name: attribute.schema[name] for name in sorted(kept)}
    repeated = {"type": "array", "items": schema}
    words = "One that fits any of the values is shown."
    return {**query(attribute.name, repeated, words), "style": "form", "explode": True}


def _extension_parameter() -> Node:
    words = "Show the attributes of this extension, too."
    return query(EXTENSION, {"type": "string", "enum": list(EXTENSIONS)}, words)


def _wait_parameter() -> Node:
    words = f"Answer when the agents have reported, or after so many seconds ({OURS})."
    return query("wait", {"type": "integer", "minimum": 0, "maximum": 60}, words)


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
    return {"type": "array", "items": ref("extension")}


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


def _wrapped(name: str, schema: str) -> Node:
    return {"type": "object", "required": [name], "properties": {name: ref(schema)}}


def _wrapped_list(name: str, schema: str) -> Node:
    items = {"type": "array", "minItems": 1, "items": ref(schema)}
    return {"type": "object", "required": [name], "properties": {name: items}}
