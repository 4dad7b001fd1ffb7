"""What an option of the configuration takes: readers that make a value of what TOML says.

Which options there are is not known here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from ctherd.guard.policy import PortRange
from ctherd.model.catalog import HELPERS

MAX_PORT: Final = 65535

_PORTS_ALLOWED: Final = 'write a port (21) or a range ("5000-5999") between 1 and 65535'
_PORT_RANGE: Final = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_ENDPOINT: Final = re.compile(r"(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})")

Reader = Callable[[Any], Any]
"""Makes an option's value of what TOML says; raises Wrong."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen at, as ``127.0.0.1:9697`` or ``[::1]:9697`` spells it."""

    host: str
    port: int


class Wrong(ValueError):
    """An option that cannot be so: its dotted name, what is wrong, and what is allowed."""

    def __init__(self, what: str, allowed: str, option: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.allowed = allowed
        self.option = option

    def within(self, name: str) -> "Wrong":
        """Return the same of the section or list *name*."""
        option = f"{name}.{self.option}" if self.option else name
        return Wrong(self.what, self.allowed, option)


def section(make: Callable[..., Any], options: Mapping[str, Reader]) -> Reader:
    """Read a section of *options* as what *make* makes of those that are given."""

    def read(given: Any) -> Any:
        if not isinstance(given, dict):
            raise Wrong(f"{given!r} is not a section", f"its options are {', '.join(options)}")
        return make(**{name: _read_option(name, given[name], options) for name in given})

    return read


def _read_option(name: str, value: Any, options: Mapping[str, Reader]) -> Any:
    if name not in options:
        near = get_close_matches(name, options, 1)
        cure = f"did you mean {near[0]}?" if near else f"there are {', '.join(options)}"
        raise Wrong("there is no such option", cure, name)
    try:
        return options[name](value)
    except Wrong as wrong:
        raise wrong.within(name) from None


def ports_of_helpers(given: Any) -> dict[str, int]:
    """Read a table of helpers and a port for each."""
    if not isinstance(given, dict):
        raise Wrong(f"{given!r} is not a table", "write {sip = 10000}")
    found = {}
    for name, port in given.items():
        try:
            found[choice(*(helper.name for helper in HELPERS))(name)] = whole(1, MAX_PORT)(port)
        except Wrong as wrong:
            raise wrong.within(name) from None
    return found


def flag(given: Any) -> bool:
    """Read true or false."""
    if not isinstance(given, bool):
        raise Wrong(f"{given!r} is not a truth value", "write true or false")
    return given


def text(given: Any) -> str:
    """Read any text."""
    if not isinstance(given, str):
        raise Wrong(f"{given!r} is not a text", "write it in quotes")
    return given


def scalar(given: Any) -> str | int | float | bool:
    """Read a text, a number or a truth value, whose meaning somebody else knows."""
    if not isinstance(given, str | int | float):
        raise Wrong(f"{given!r} is not a single value", "write a text, a number, true or false")
    return given


def path(given: Any) -> Path:
    """Read an absolute path."""
    spelled = text(given)
    if not spelled.startswith("/") or "\0" in spelled:
        raise Wrong(f"{spelled!r} is not an absolute path", "start it with /")
    return Path(spelled)


def number(low: float, high: float) -> Reader:
    """Read a number, whole or not, between both bounds."""

    def read(given: Any) -> float:
        if type(given) not in (int, float) or not low <= given <= high:
            raise Wrong(f"{given!r} is not allowed", f"write a number from {low:g} to {high:g}")
        return float(given)

    return read


def whole(low: int, high: int) -> Reader:
    """Read a whole number between both bounds."""

    def read(given: Any) -> int:
        if type(given) is not int or not low <= given <= high:
            raise Wrong(f"{given!r} is not allowed", f"write a whole number, {low} to {high}")
        return given

    return read


def choice(*choices: str) -> Reader:
    """Read one of *choices*."""

    def read(given: Any) -> str:
        if given not in choices:
            raise Wrong(f"{given!r} is not allowed", f"choose {' or '.join(choices)}")
        return str(given)

    return read


def or_none(word: str, reader: Reader) -> Reader:
    """Read *word* as None: TOML has no null."""

    def read(given: Any) -> Any:
        return None if given == word else reader(given)

    return read


def list_of(collection: Callable[..., Any], reader: Reader) -> Reader:
    """Read a list as a *collection* of what *reader* reads."""

    def read(given: Any) -> Any:
        if not isinstance(given, list):
            raise Wrong(f"{given!r} is not a list", "write it in square brackets")
        return collection(reader(each) for each in given)

    return read


def table_of(reader: Reader) -> Reader:
    """Read a table with any names, and values that *reader* reads."""

    def read(given: Any) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise Wrong(f"{given!r} is not a table", "write NAME = VALUE, a line each")
        return {name: _read_option(name, each, {name: reader}) for name, each in given.items()}

    return read


def ports(given: Any) -> PortRange:
    """Read a port, or a range of ports."""
    if type(given) is int:
        low = high = given
    else:
        low, high = _bounds(given)
    if not 1 <= low <= high <= MAX_PORT:
        raise Wrong(f"{given!r} is no range of ports", _PORTS_ALLOWED)
    return low, high


def _bounds(given: Any) -> PortRange:
    match = _PORT_RANGE.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise Wrong(f"{given!r} is no range of ports", _PORTS_ALLOWED)
    return int(match[1]), int(match[2])


def endpoint(given: Any) -> Endpoint:
    """Read an address to listen at."""
    return _endpoint(given, 1)


def any_port(given: Any) -> Endpoint:
    """Read an address to listen at, where port 0 means any that is free."""
    return _endpoint(given, 0)


def _endpoint(given: Any, lowest: int) -> Endpoint:
    match = _ENDPOINT.fullmatch(text(given))
    if match is None or not lowest <= int(match[3]) <= MAX_PORT:
        allowed = 'write "127.0.0.1:9697" or "[::1]:9697", or "" for none'
        raise Wrong(f"{given!r} is no address to listen at", allowed)
    try:
        return Endpoint(str(ip_address(match[1] or match[2])), int(match[3]))
    except ValueError as error:
        raise Wrong(f"{given!r} is no address to listen at", str(error)) from error
