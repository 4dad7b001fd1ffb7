"""What a herd file must look like: schema.json, and its findings told in people's words."""

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Final

import jsonschema_rs
from jsonschema_rs import ValidationErrorKind as Kind

from ctherd.herdfile.fault import Fault, Path, quote
from ctherd.herdfile.marked_yaml import Marked

ENOUGH: Final = 1_000
"""After so many findings nobody is helped by more."""

_TYPES: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
}


def schema_text() -> str:
    """Return the JSON Schema of herd files, as editors take it."""
    return files("ctherd.herdfile").joinpath("schema.json").read_text(encoding="utf-8")


def check(marked: Marked) -> list[Fault]:
    """Return the first faults that the schema finds in *marked*, in no order."""
    errors = _validator().iter_errors(marked.value)
    return list(islice(_faults(errors, marked), ENOUGH))


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(schema_text()))


@cache
def _properties() -> dict[str, dict[str, object]]:
    """Every property that the schema knows, by name: no two parts of it share one."""
    schema = json.loads(schema_text())
    parts = (schema, *schema["$defs"].values())
    return {name: rule for part in parts for name, rule in part["properties"].items()}


def _cure(path: Path) -> str:
    """Return the words that the schema has for a wrong value at *path*."""
    rule = _properties().get(str(path[-1]), {}) if path else {}
    return str(rule.get("errorMessage", ""))


def _faults(errors: Iterable[jsonschema_rs.ValidationError], marked: Marked) -> Iterator[Fault]:
    for error in errors:
        yield from _explain(error, tuple(error.instance_path), marked)


def _explain(error: jsonschema_rs.ValidationError, path: Path, marked: Marked) -> Iterator[Fault]:
    kind = error.kind
    if isinstance(kind, Kind.AdditionalProperties):
        for key in kind.unexpected:
            place = (*path, key)
            yield Fault(marked.key_position(place), place, "there is no such key", _similar(key))
    elif isinstance(kind, Kind.Required):
        place = (*path, str(kind.property))
        yield Fault(marked.position(place), place, "it is missing", _cure(place))
    else:
        yield Fault(marked.position(path), path, _judge(error), _cure_value(error, path))


def _judge(error: jsonschema_rs.ValidationError) -> str:
    given = quote(error.instance)
    match error.kind:
        case Kind.Type(types=types):
            return f"{given} is not {' or '.join(_TYPES.get(each, each) for each in types)}"
        case Kind.Minimum(limit=limit):
            return f"{given} is less than the minimum of {limit}"
        case Kind.Maximum(limit=limit):
            return f"{given} is greater than the maximum of {limit}"
        case Kind.Enum():
            return f"{given} is not known"
        case Kind.Constant():
            return f"{given} is not a version that this ctherd reads"
        case Kind.MinItems():
            return "the list is empty"
        case Kind.MaxLength(limit=limit):
            return f"{given} is longer than {limit} characters"
        case Kind.Pattern():
            return f"{given} is not allowed"
    return error.message


def _cure_value(error: jsonschema_rs.ValidationError, path: Path) -> str:
    if isinstance(error.kind, Kind.Enum) and isinstance(error.instance, str):
        near = get_close_matches(error.instance, [str(each) for each in error.kind.options], 1)
        if near:
            return f"did you mean {near[0]}?"
    if isinstance(error.kind, Kind.Type) and error.kind.types == ["string"]:
        return "put it in quotes" if isinstance(error.instance, int) else _cure(path)
    return _cure(path)


def _similar(key: str) -> str:
    near = get_close_matches(key, _properties(), 1)
    return f"did you mean {near[0]}?" if near else "remove it"
