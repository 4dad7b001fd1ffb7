"""The JSON Schema: equal to the catalog, complete, and valid itself."""

import json
from typing import Any

import jsonschema_rs

from ctherd.herdfile.parse import parse_herd
from ctherd.herdfile.schema import schema_text
from ctherd.model.catalog import Protocol, names

SCHEMA: dict[str, Any] = json.loads(schema_text())
ROUTER = SCHEMA["$defs"]["router"]
ASSIGNMENT = SCHEMA["$defs"]["assignment"]


def test_the_schema_is_a_json_schema() -> None:
    """Editors can use it."""
    assert jsonschema_rs.meta.is_valid(SCHEMA)


def test_the_schema_knows_exactly_the_helpers_of_the_catalog() -> None:
    """A helper is added in the catalog; this test says when the schema lags behind."""
    assert ASSIGNMENT["properties"]["helper"]["enum"] == list(names())
    assert ASSIGNMENT["properties"]["protocol"]["enum"] == list(Protocol)


def test_every_property_is_described_and_says_how_to_cure_it() -> None:
    """The words of an error are those that an editor shows, and no two properties share a name."""
    rules = [
        (name, rule)
        for part in (SCHEMA, ROUTER, ASSIGNMENT)
        for name, rule in part["properties"].items()
    ]
    assert [name for name, rule in rules if not rule.get("description")] == []
    assert [name for name, rule in rules if not rule.get("errorMessage")] == []
    assert len(rules) == len(dict(rules))


def test_nothing_unknown_is_allowed_anywhere() -> None:
    """A typing error in a key is never silently ignored."""
    assert [part.get("additionalProperties") for part in (SCHEMA, ROUTER, ASSIGNMENT)] == [
        False,
        False,
        False,
    ]


def test_the_example_of_the_schema_is_a_herd() -> None:
    """JSON is YAML: what the schema shows can be used as it is."""
    for example in SCHEMA["examples"]:
        assert parse_herd(json.dumps(example, indent=2), "example").documents
