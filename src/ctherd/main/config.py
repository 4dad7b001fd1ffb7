"""The configuration of ctherd: every option, its default, and how the TOML file spells it.

``reference.toml`` beside this file documents each option for operators; a test keeps both equal.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from ctherd.errors import ConfigurationError
from ctherd.guard.policy import Policy, PortRange
from ctherd.model.catalog import Protocol, names
from ctherd.plan.safety import Limits

DEFAULT_PATH: Final = Path("/etc/ctherd/ctherd.toml")

LOG_FORMATS: Final = ("text", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen at, as ``127.0.0.1:9697`` or ``[::1]:9697`` spells it."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Config:
    """Every option of ctherd; ``reference.toml`` says what each one does."""

    file: Path = Path("/etc/ctherd/herd.yaml")
    state_dir: Path = Path("/var/lib/ctherd")
    netns_dir: Path = Path("/run/netns")
    log_format: str = "text"
    log_level: str = "info"
    own_table: bool = True
    sweep_interval_s: float = 30.0
    metrics: Endpoint | None = Endpoint("127.0.0.1", 9697)
    max_removals: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)


def load_config(path: Path | None = None) -> Config:
    """Read the configuration at *path*; without one the default file, or defaults if it is absent.

    Raises: ConfigurationError that names the file, the option, and what is allowed.
    """
    try:
        text = (path or DEFAULT_PATH).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        if path is None and isinstance(error, FileNotFoundError):
            return Config()
        raise _unreadable(path or DEFAULT_PATH, error) from error
    return parse_config(text, str(path or DEFAULT_PATH))


def parse_config(text: str, source: str) -> Config:
    """Read *text* as the configuration file *source*.

    Raises: ConfigurationError.
    """
    try:
        options = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"this is not TOML: {error}", where=source) from error
    try:
        config: Config = _CONFIG(options)
    except _Wrong as wrong:
        what = f"{wrong.option}: {wrong.what}"
        raise ConfigurationError(what, where=source, cure=wrong.allowed) from wrong
    return config


def reference_text() -> str:
    """Return the commented reference file, which holds every option at its default."""
    return files("ctherd.main").joinpath("reference.toml").read_text(encoding="utf-8")


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    words = getattr(error, "strerror", None) or str(error)
    return ConfigurationError(f"the file cannot be read: {words}", where=str(path))


# -- what each option takes ------------------------------------------------------------------------

_Reader = Callable[[Any], Any]
"""Makes an option's value of what TOML says; raises _Wrong."""


class _Wrong(ValueError):
    """An option that cannot be so: its dotted name, what is wrong, and what is allowed."""

    def __init__(self, what: str, allowed: str, option: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.allowed = allowed
        self.option = option

    def within(self, name: str) -> "_Wrong":
        """Return the same of the section or list *name*."""
        option = f"{name}.{self.option}" if self.option else name
        return _Wrong(self.what, self.allowed, option)


def _section(make: Callable[..., Any], options: Mapping[str, _Reader]) -> _Reader:
    def read(given: Any) -> Any:
        if not isinstance(given, dict):
            raise _Wrong(f"{given!r} is not a section", f"its options are {', '.join(options)}")
        return make(**{name: _read_option(name, given[name], options) for name in given})

    return read


def _read_option(name: str, value: Any, options: Mapping[str, _Reader]) -> Any:
    if name not in options:
        near = get_close_matches(name, options, 1)
        cure = f"did you mean {near[0]}?" if near else f"there are {', '.join(options)}"
        raise _Wrong("there is no such option", cure, name)
    try:
        return options[name](value)
    except _Wrong as wrong:
        raise wrong.within(name) from None


def _flag(given: Any) -> bool:
    if not isinstance(given, bool):
        raise _Wrong(f"{given!r} is not a truth value", "write true or false")
    return given


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise _Wrong(f"{given!r} is not a text", "write it in quotes")
    return given


def _path(given: Any) -> Path:
    text = _text(given)
    if not text.startswith("/") or "\0" in text:
        raise _Wrong(f"{text!r} is not an absolute path", "start it with /")
    return Path(text)


def _number(low: float, high: float) -> _Reader:
    def read(given: Any) -> float:
        if type(given) not in (int, float) or not low <= given <= high:
            raise _Wrong(f"{given!r} is not allowed", f"write a number from {low:g} to {high:g}")
        return float(given)

    return read


def _whole(low: int, high: int) -> _Reader:
    def read(given: Any) -> int:
        if type(given) is not int or not low <= given <= high:
            raise _Wrong(f"{given!r} is not allowed", f"write a whole number, {low} to {high}")
        return given

    return read


def _choice(*choices: str) -> _Reader:
    def read(given: Any) -> str:
        if given not in choices:
            raise _Wrong(f"{given!r} is not allowed", f"choose {' or '.join(choices)}")
        return str(given)

    return read


def _or_none(word: str, reader: _Reader) -> _Reader:
    """Read *word* as None: TOML has no null."""

    def read(given: Any) -> Any:
        return None if given == word else reader(given)

    return read


def _list(collection: Callable[..., Any], reader: _Reader) -> _Reader:
    def read(given: Any) -> Any:
        if not isinstance(given, list):
            raise _Wrong(f"{given!r} is not a list", "write it in square brackets")
        return collection(reader(each) for each in given)

    return read


def _ports(given: Any) -> PortRange:
    if type(given) is int:
        low = high = given
    else:
        low, high = _bounds(given)
    if not 1 <= low <= high <= MAX_PORT:
        raise _Wrong(f"{given!r} is no range of ports", _PORTS_ALLOWED)
    return low, high


def _bounds(given: Any) -> PortRange:
    match = _PORT_RANGE.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise _Wrong(f"{given!r} is no range of ports", _PORTS_ALLOWED)
    return int(match[1]), int(match[2])


def _endpoint(given: Any) -> Endpoint:
    match = _ENDPOINT.fullmatch(_text(given))
    if match is None or not 1 <= int(match[3]) <= MAX_PORT:
        allowed = 'write "127.0.0.1:9697" or "[::1]:9697", or "" for none'
        raise _Wrong(f"{given!r} is no address to listen at", allowed)
    try:
        return Endpoint(str(ip_address(match[1] or match[2])), int(match[3]))
    except ValueError as error:
        raise _Wrong(f"{given!r} is no address to listen at", str(error)) from error


MAX_PORT: Final = 65535

_PORTS_ALLOWED: Final = 'write a port (21) or a range ("5000-5999") between 1 and 65535'
_PORT_RANGE: Final = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_ENDPOINT: Final = re.compile(r"(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})")
_HELPERS: Final = _list(frozenset, _choice(*names()))

_POLICY: Final = _section(
    Policy,
    {
        "allowed_helpers": _or_none("all", _HELPERS),
        "allowed_protocols": _list(frozenset, lambda each: Protocol(_choice(*Protocol)(each))),
        "allowed_ports": _list(tuple, _ports),
        "netns_patterns": _list(tuple, _text),
        "allow_host": _flag,
        "max_per_router": _or_none("unlimited", _whole(0, 1_000_000)),
        "require_destinations": _HELPERS,
        "kill": _HELPERS,
    },
)

_CONFIG: Final = _section(
    Config,
    {
        "file": _path,
        "state_dir": _path,
        "netns_dir": _path,
        "log_format": _choice(*LOG_FORMATS),
        "log_level": _choice(*LOG_LEVELS),
        "own_table": _flag,
        "sweep_interval_s": _number(0.1, 86_400),
        "metrics": _or_none("", _endpoint),
        "max_removals": _section(Limits, {"count": _whole(0, 1_000_000), "share": _number(0, 1)}),
        "policy": _POLICY,
    },
)
