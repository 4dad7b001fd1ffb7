"""The canonical spelling: one value, one text, and nothing else is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.errors import LocalProtocolError, RemoteProtocolError
from ctherd.signing.canonical import read, spell

_SCALARS = st.none() | st.booleans() | st.integers() | st.text()
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
_OBJECTS = st.dictionaries(st.text(), _VALUES)


@given(_OBJECTS)
def test_what_is_spelled_is_read_back_equal(value: dict[str, object]) -> None:
    """Every spellable object survives, and its spelling is plain ASCII without white space."""
    text = spell(value)
    assert text.isascii()
    assert read(text) == value


@given(_OBJECTS)
def test_order_of_members_does_not_matter(value: dict[str, object]) -> None:
    """Two programs that built the same object in another order agree on its bytes."""
    assert spell(dict(reversed(value.items()))) == spell(value)


@given(_OBJECTS.filter(bool))
def test_any_other_spelling_is_refused(value: dict[str, object]) -> None:
    """The same object with white space is not what was signed."""
    with pytest.raises(RemoteProtocolError):
        read(json.dumps(value, sort_keys=True, indent=1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        '{"a":1,"a":1}',
        '{"b":1,"a":1}',
        '{"a":1.0}',
        '{"a":NaN}',
        '{"a":1e2}',
        '{"a":"\\u0041"}',
        '{"a":"ä"}',
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_what_is_not_canonical_is_refused(text: str) -> None:
    """Doubled members, floats, needless escapes, raw non-ASCII and bottomless nesting."""
    with pytest.raises(RemoteProtocolError):
        read(text)


@pytest.mark.parametrize("value", [{"a": 1.5}, {"a": {1: 2}}, {"a": b"x"}, {"a": {1, 2}}])
def test_what_has_no_one_spelling_cannot_be_signed(value: dict[str, object]) -> None:
    """Floats above all: no two languages print them alike."""
    with pytest.raises(LocalProtocolError):
        spell(value)
