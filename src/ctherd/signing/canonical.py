"""The one spelling of what is signed: JSON with nothing left to choose.

Objects have their members sorted by name (by code point), there is no white space, every character
beyond ASCII is escaped, and the only numbers are integers. Two programs that agree on a value agree
on its bytes, and bytes that are not the spelling of their own value are refused.
"""

import json
from typing import Any

from ctherd.errors import LocalProtocolError, RemoteProtocolError

Plain = dict[str, Any]


def spell(value: Plain) -> str:
    """Return the canonical spelling of *value*.

    Shape: str, int, bool, None, and lists and string-keyed dicts of these.
    Raises: LocalProtocolError for anything else, floats above all.
    """
    _refuse_unspellable(value)
    return _spelled(value)


def read(text: str) -> Plain:
    """Return the object that *text* spells.

    Raises: RemoteProtocolError if it is no object, or not spelled canonically.
    """
    try:
        value = json.loads(text, parse_float=_refuse_number, parse_constant=_refuse_number)
        # Beyond its numbers, nothing that JSON can say lacks a canonical spelling.
        if isinstance(value, dict) and _spelled(value) == text:
            return value
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"this is not canonical JSON: {error}") from error
    raise RemoteProtocolError("this is not the canonical spelling of a JSON object")


def _spelled(value: Plain) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _refuse_number(text: str) -> None:
    raise ValueError(f"{text[:20]} is no integer")


def _refuse_unspellable(value: Any) -> None:
    match value:
        case None | bool() | int() | str():
            return
        case list() | tuple():
            for each in value:
                _refuse_unspellable(each)
        case dict():
            for name, each in value.items():
                if not isinstance(name, str):
                    raise LocalProtocolError(f"{name!r} cannot name a member")
                _refuse_unspellable(each)
        case _:
            raise LocalProtocolError(f"{value!r} has no canonical spelling")
