"""The OpenAPI document tells the truth: requests made from it are answered as it says."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from ctherd.api.openapi import document
from tests.clients.served import HOST, Served, served

# Its own deprecations are none of ours.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# Answers that do not end by themselves: only whoever may not have them is answered at once.
_STREAMS = ("/v1/events", "/v1/hosts/{host}/watch")

_OPERATIONS = [
    (path, method, mode)
    for path, item in document()["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    # Of what takes nothing, nothing can be wrong.
    if mode is GenerationMode.POSITIVE
    or any((item.get("parameters"), operation.get("parameters"), operation.get("requestBody")))
]

# Clients of the reference may send a port as a string; and no schema says what an address is.
_STRICTER_OR_LAXER = [positive_data_acceptance, negative_data_rejection]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("server")) as found:
        yield found


def schema_of(server: Served) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize(("path", "method", "mode"), _OPERATIONS, ids=str)
def test_what_the_document_promises(
    server: Served, path: str, method: str, mode: GenerationMode
) -> None:
    """No 500; status, content type and schema of every answer are documented."""
    operation = schema_of(server)[path][method]
    token = server.agent if path in _STREAMS else server.admin

    @settings(
        max_examples=25,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def every(case: Any) -> None:
        case.call_and_validate(headers={"X-Auth-Token": token}, excluded_checks=_STRICTER_OR_LAXER)

    every()


def test_what_agents_say_and_administrators_read(server: Served) -> None:
    """A report is taken; its host, and the refusal of another one, are shown as documented."""
    schema = schema_of(server)

    def ask(path: str, method: str, token: str, status: int, body: Any = None, **at: Any) -> Any:
        given = {} if body is None else {"body": body, "media_type": "application/json"}
        case = schema[path][method].Case(**given, **at)
        headers = {"X-Auth-Token": token}
        answer = case.call_and_validate(headers=headers, excluded_checks=_STRICTER_OR_LAXER)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    report, body = "/v1/hosts/{host}/report", {"agent": {"version": "1", "capabilities": ["a"]}}
    ask(report, "POST", server.agent, 200, body, path_parameters={"host": HOST})
    ask(report, "POST", server.agent, 403, body, path_parameters={"host": "node-2"})
    shown = ask("/v1/hosts/{host}", "GET", server.admin, 200, path_parameters={"host": HOST})
    assert shown["host"]["agent"] == body["agent"]
    assert HOST in [each["host"] for each in ask("/v1/hosts", "GET", server.admin, 200)["hosts"]]

    def denied(action: str) -> list[Any]:
        query = {"action": action, "decision": "denied"}
        page = ask("/v1/audit", "GET", server.admin, 200, query=query)
        return [(each["who"]["host"], each["after"]) for each in page["entries"]]

    assert (HOST, {"host": "node-2"}) in denied("ctherd:report_host")
    assert denied("ctherd:get_audit") == []
    ask("/v1/audit", "GET", server.agent, 403)
    assert denied("ctherd:get_audit") == [(HOST, None)]
    ask("/v1/hosts/{host}", "DELETE", server.admin, 409, path_parameters={"host": HOST})


def test_a_wrong_method_is_told_alike_everywhere(server: Served) -> None:
    """405 with the type that clients know, and ``Allow``."""
    headers = {"X-Auth-Token": server.admin}
    for path in ("/v1/hosts", "/v2.0/routers", "/healthz"):
        answer = httpx.patch(server.url + path, headers=headers, trust_env=False)
        error = answer.json()["NeutronError"]["type"]
        assert (answer.status_code, error) == (405, "HTTPMethodNotAllowed"), path
        assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/v1/events", "application/x-ndjson"),
        ("/v1/events", "text/event-stream"),
        ("/v1/hosts/{host}/watch", "application/x-ndjson"),
    ],
)
def test_streams_are_of_a_documented_type(server: Served, path: str, accept: str) -> None:
    """Whoever may have one has it at once."""
    documented = document()["paths"][path]["get"]["responses"]["200"]["content"]
    headers = {"X-Auth-Token": server.admin, "Accept": accept}
    url = server.url + path.format(host=HOST)
    with httpx.stream("GET", url, headers=headers, trust_env=False, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == accept
    assert accept in documented
