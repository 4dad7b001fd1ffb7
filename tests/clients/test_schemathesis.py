"""The OpenAPI document tells the truth: requests made from it are answered as it says."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from ctherd.api.openapi import document
from tests.clients.live import Live, live

# Its own deprecations are none of ours.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

_OPERATIONS = [
    (path, method, mode)
    for path, item in document()["paths"].items()
    for method in item
    if method != "parameters"
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    # Of what takes nothing, nothing can be wrong.
    if path != "/" or mode is GenerationMode.POSITIVE
]

# Clients of the reference may send a port as a string; and no schema says what an address is.
_STRICTER_OR_LAXER = [positive_data_acceptance, negative_data_rejection]


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live() as found:
        yield found


@pytest.mark.parametrize(("path", "method", "mode"), _OPERATIONS, ids=str)
def test_what_the_document_promises(
    server: Live, path: str, method: str, mode: GenerationMode
) -> None:
    """No 500; status, content type and schema of every answer are documented."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operation = schema[path][method]

    @settings(
        max_examples=25,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def every(case: Any) -> None:
        case.call_and_validate(
            headers={"X-Auth-Token": "admin"}, excluded_checks=_STRICTER_OR_LAXER
        )

    every()
