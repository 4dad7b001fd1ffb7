"""Scalars: what every reader understands alike is read, everything else refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctherd.herdfile.scalar import Scalar, Unclear, read_scalar

INT, STR, NULL = (f"tag:yaml.org,2002:{each}" for each in ("int", "str", "null"))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("21", 21),
        ("0", 0),
        ("-1", -1),
        ("true", True),
        ("False", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("ftp", "ftp"),
        ("Q.931", "Q.931"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.1", "203.0.113.1"),
        ("2001:db8::/64", "2001:db8::/64"),
        ("::1", "::1"),
        ("qrouter-1f0e", "qrouter-1f0e"),
    ],
)
def test_what_is_clear_is_read(text: str, meaning: Scalar) -> None:
    """Decimal numbers, true, false, null, and what is a text to everybody."""
    read = read_scalar(text, None, plain=True)
    assert read == meaning
    assert type(read) is type(meaning)


@pytest.mark.parametrize(
    "text",
    ["021", "0o21", "0x15", "0b1", "+21", "2_1", "21:00", "1:2:3", "21.0", ".5", "1e3", "1.",
     ".inf", "-.INF", ".nan", "yes", "No", "ON", "off", "2026-01-01", "2026-1-1 12:00", "="],
)  # fmt: skip
def test_what_readers_disagree_on_is_refused_unless_it_is_quoted(text: str) -> None:
    """A port or a name must not depend on who reads the file."""
    with pytest.raises(Unclear, match="neither"):
        read_scalar(text, None, plain=True)
    assert read_scalar(text, None, plain=False) == text
    assert read_scalar(text, STR, plain=True) == text


def test_a_tag_must_be_known_and_true() -> None:
    """Core tags may say what is so; no tag makes anything else of a scalar."""
    assert read_scalar("21", INT, plain=False) == 21
    assert read_scalar("~", NULL, plain=False) is None
    assert read_scalar("21", "!", plain=False) == "21"
    for text, tag in (("true", INT), ("x", INT), ("021", INT), ("x", "!x"), ("x", f"{STR}x")):
        with pytest.raises(Unclear):
            read_scalar(text, tag, plain=False)


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_a_decimal_number_is_itself(number: int) -> None:
    """As it is written, so it is read."""
    assert read_scalar(str(number), None, plain=True) == number


def test_half_a_character_is_refused() -> None:
    """It could not be stored, sent or shown."""
    with pytest.raises(Unclear, match="half a character"):
        read_scalar("a\ud800", None, plain=False)
