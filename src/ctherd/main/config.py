"""The configuration of ctherd: every option, its default, and how the TOML file spells it.

``reference.toml`` beside this file documents each option for operators; a test keeps both equal.
"""

import tomllib
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from ctherd.errors import ConfigurationError
from ctherd.guard.policy import Policy
from ctherd.main import options as option
from ctherd.main.options import Endpoint
from ctherd.main.server_config import FOLLOW, SERVER, FollowOptions, ServerOptions
from ctherd.model.catalog import Protocol, names
from ctherd.model.safe_scope import AntiSpoofing, SafeScope
from ctherd.plan.safety import Limits

DEFAULT_PATH: Final = Path("/etc/ctherd/ctherd.toml")

METRICS: Final = Endpoint("127.0.0.1", 9697)
DATAPLANES: Final = ("nftables", "iptables-nft", "iptables-legacy")
AUTO: Final = "auto"
"""The dataplane that *dataplanes* and this host leave over."""

LOG_FORMATS: Final = ("text", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Config:
    """Every option of ctherd; ``reference.toml`` says what each one does."""

    file: Path = Path("/etc/ctherd/herd.yaml")
    state_dir: Path = Path("/var/lib/ctherd")
    netns_dir: Path = Path("/run/netns")
    log_format: str = "text"
    log_level: str = "info"
    dataplane: str = AUTO
    dataplanes: tuple[str, ...] = DATAPLANES
    own_table: bool = True
    sweep_interval_s: float = 30.0
    metrics: Endpoint | None = METRICS
    max_removals: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    follow: FollowOptions = field(default_factory=FollowOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


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
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"this is not TOML: {error}", where=source) from error
    try:
        config: Config = _CONFIG(given)
    except option.Wrong as wrong:
        what = f"{wrong.option}: {wrong.what}"
        raise ConfigurationError(what, where=source, cure=wrong.allowed) from wrong
    return config


def reference_text() -> str:
    """Return the commented reference file, which holds every option at its default."""
    return files("ctherd.main").joinpath("reference.toml").read_text(encoding="utf-8")


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    words = getattr(error, "strerror", None) or str(error)
    return ConfigurationError(f"the file cannot be read: {words}", where=str(path))


_HELPERS: Final = option.list_of(frozenset, option.choice(*names()))


def _scope(**given: Any) -> SafeScope:
    try:
        return SafeScope(**given)
    except ConfigurationError as error:
        raise option.Wrong(error.what, error.cure, error.where) from error


_SCOPE: Final = option.section(
    _scope,
    {
        "related": option.flag,
        "lowest_ports": option.ports_of_helpers,
        "anti_spoofing": lambda each: AntiSpoofing(option.choice(*AntiSpoofing)(each)),
        "not_from": option.list_of(tuple, option.text),
    },
)

_POLICY: Final = option.section(
    Policy,
    {
        "allowed_helpers": option.or_none("all", _HELPERS),
        "allowed_protocols": option.list_of(
            frozenset, lambda each: Protocol(option.choice(*Protocol)(each))
        ),
        "allowed_ports": option.list_of(tuple, option.ports),
        "netns_patterns": option.list_of(tuple, option.text),
        "allow_host": option.flag,
        "max_per_router": option.or_none("unlimited", option.whole(0, 1_000_000)),
        "require_destinations": _HELPERS,
        "kill": _HELPERS,
        "allow_tls_ports": option.flag,
        "allow_adopt_flows": option.flag,
        "allow_probe": option.flag,
        "scope": _SCOPE,
    },
)

_CONFIG: Final = option.section(
    Config,
    {
        "file": option.path,
        "state_dir": option.path,
        "netns_dir": option.path,
        "log_format": option.choice(*LOG_FORMATS),
        "log_level": option.choice(*LOG_LEVELS),
        "dataplane": option.choice(AUTO, *DATAPLANES),
        "dataplanes": option.list_of(tuple, option.choice(*DATAPLANES)),
        "own_table": option.flag,
        "sweep_interval_s": option.number(0.1, 86_400),
        "metrics": option.or_none("", option.endpoint),
        "max_removals": option.section(
            Limits, {"count": option.whole(0, 1_000_000), "share": option.number(0, 1)}
        ),
        "policy": _POLICY,
        "follow": FOLLOW,
        "server": SERVER,
    },
)
