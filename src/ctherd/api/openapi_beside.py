"""What the OpenAPI document says of everything beside the tenants' API: /v1, health and metrics."""

from dataclasses import fields
from typing import Final

from ctherd.api.openapi_words import Node, errors, path_parameter, query, said
from ctherd.authz.audit.query import Filters

_TEXT: Final[Node] = {"type": "string"}
_COUNT: Final[Node] = {"type": "integer", "minimum": 0}
_YES: Final[Node] = {"type": "boolean"}
_ANYTHING: Final[Node] = {"type": "object"}
_HOST: Final = [path_parameter("host")]
_READ: Final = ("400", "401", "403", "404", "405", "503")


def beside() -> Node:
    """Return the paths."""
    return {
        "/v1/hosts": {"get": _list_hosts()},
        "/v1/hosts/{host}": {"parameters": _HOST, "get": _show_host(), "delete": _forget_host()},
        "/v1/hosts/{host}/watch": {"parameters": _HOST, "get": _watch()},
        "/v1/hosts/{host}/report": {"parameters": _HOST, "post": _report()},
        "/v1/events": {"get": _events()},
        "/v1/audit": {"get": _audit()},
        "/v1/keys": {"get": _keys()},
        "/healthz": {"get": _alive()},
        "/readyz": {"get": _ready()},
        "/metrics": {"get": _metrics()},
    }


def _operation(name: str, tag: str, summary: str, answers: Node, *parameters: Node) -> Node:
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "parameters": list(parameters),
        "responses": answers,
    }


def _object(required: Node, **optional: Node) -> Node:
    properties = {**required, **optional}
    return {"type": "object", "required": list(required), "properties": properties}


def _array(items: Node) -> Node:
    return {"type": "array", "items": items}


def _streamed(words: str, *types: str) -> Node:
    return {"description": words, "content": {each: {"schema": _TEXT} for each in types}}


# -- hosts and agents ------------------------------------------------------------------------------


def _host() -> Node:
    doubted = _array(_object({"router": _TEXT, "netns": _TEXT, "reason": _TEXT}))
    return _object(
        {
            "host": _TEXT,
            "alive": _YES,
            "silent_since": _TEXT,
            "watching": _YES,
            "routers": _COUNT,
            "withdrawing": _COUNT,
            "refused": doubted,
            "kept": doubted,
            "first_seen": _TEXT,
            "agent": _ANYTHING,
        }
    )


def _list_hosts() -> Node:
    answer = said("Every host that was ever heard of.", _object({"hosts": _array(_host())}))
    words = "Hosts: liveness, versions, capabilities, counts. For administrators."
    return _operation("list_hosts", "hosts", words, {"200": answer, **errors(_READ)})


def _show_host() -> Node:
    answers = {"200": said("It.", _object({"host": _host()})), **errors(_READ)}
    return _operation("show_host", "hosts", "One host. For administrators.", answers)


def _forget_host() -> Node:
    answers = {"204": {"description": "Forgotten."}, **errors((*_READ, "409"))}
    words = "Forget a host that is dead and has no routers; else 409. For administrators."
    return _operation("forget_host", "hosts", words, answers)


def _watch() -> Node:
    words = (
        "One object a line: `document`, `keys`, `in-sync`, `heartbeat`. Without `epoch` and "
        "`since` it begins with everything; ends within the hour."
    )
    return _operation(
        "watch_host",
        "agents",
        "Follow the signed documents of a host. For its agent.",
        {"200": _streamed(words, "application/x-ndjson"), **errors(_READ)},
        query("epoch", _COUNT, "The store's epoch that `since` is of."),
        query("since", _COUNT, "The revision that the agent has."),
    )


def _report() -> Node:
    many = {**_array(_ANYTHING), "maxItems": 1000}
    lists = dict.fromkeys(("routers", "withdrawn", "refused", "happenings"), many)
    body = {**_object({"agent": _ANYTHING}, **lists), "additionalProperties": False}
    answers = {
        "200": said("Taken note of, durably.", _ANYTHING),
        **errors((*_READ, "408", "413", "429")),
    }
    told = _operation(
        "report_host", "agents", "Say how the documents of a host fare. For its agent.", answers
    )
    content = {"application/json": {"schema": body}}
    return {**told, "requestBody": {"required": True, "content": content}}


# -- events, audit, keys ---------------------------------------------------------------------------


def _events() -> Node:
    words = "One event a line, or server-sent events if `Accept` asks for them; begins `in-sync`."
    return _operation(
        "follow_events",
        "events",
        "Follow what happens to the routers of a project; administrators: to all of them.",
        {
            "200": _streamed(words, "application/x-ndjson", "text/event-stream"),
            **errors(_READ),
        },
        query("project", _TEXT, "Only this project."),
    )


def _audit() -> Node:
    entry = _object({"kind": _TEXT, "when": _TEXT})
    page = _object({"entries": _array(entry), "marker": _TEXT})
    words = "A part of one entry that the others of the page have, too."
    return _operation(
        "read_audit",
        "audit",
        "The audit, newest first. For administrators.",
        {"200": said("A page; `marker` is empty at the end.", page), **errors(_READ)},
        *(query(each.name, _TEXT, words) for each in fields(Filters)),
        query("marker", _TEXT, "Where the page before ended."),
        query("limit", _COUNT, "Entries of a page, at most 1000."),
    )


def _keys() -> Node:
    texts = {"type": "object", "additionalProperties": _TEXT}
    envelope = _object({"payload": _TEXT, "key": _TEXT, "signature": _TEXT})
    shown = _object({"version": _COUNT, "keys": texts, "signing": _TEXT, "envelope": envelope})
    answers = {"200": said("The set, and the signed statement of it.", shown), **errors(_READ)}
    return _operation("show_keys", "keys", "The public keys that documents bear.", answers)


# -- health and metrics ----------------------------------------------------------------------------


def _alive() -> Node:
    answers = {"200": said("It lives.", _object({"status": _TEXT}))}
    return {**_operation("alive", "health", "Whether the process lives.", answers), "security": []}


def _ready() -> Node:
    schema = _object({"status": _TEXT, "troubles": _array(_TEXT)})
    answers = {"200": said("Ask it.", schema), "503": said("Do not ask it now.", schema)}
    words = "Whether the server should be asked now, and why not."
    return {**_operation("ready", "health", words, answers), "security": []}


def _metrics() -> Node:
    answers = {"200": _streamed("As Prometheus reads them.", "text/plain"), **errors(_READ)}
    return _operation("metrics", "health", "Metrics. For administrators.", answers)
