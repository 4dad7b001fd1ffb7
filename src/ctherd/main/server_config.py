"""The options of the server, and those of an agent that follows one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ctherd.authz.profile import PRESETS, Profile, preset
from ctherd.main import options as option
from ctherd.main.options import Endpoint
from ctherd.model.catalog import names
from ctherd.model.router import ProjectId

LISTEN: Final = Endpoint("127.0.0.1", 9696)
IDENTITIES: Final = ("none", "tokens", "keystone")


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Files of the server's TLS (PEM); without a certificate it speaks plain HTTP."""

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class AllowOptions:
    """What tenants may declare where it is not as the profile has it; None: as the profile."""

    helpers: frozenset[str] | None = None
    require_destinations: frozenset[str] = frozenset()
    quota_per_router: int | None = None
    quota_per_project: int | None = None
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    projects: Mapping[ProjectId, frozenset[str]] = field(default_factory=dict)
    quota_of_projects: Mapping[ProjectId, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeystoneSection:
    """How Keystone is reached; *authtoken* as every OpenStack service has it."""

    remember_s: float = 60.0
    authtoken: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """How much the server takes on at a time."""

    body_bytes: int = 1024 * 1024
    body_s: float = 10.0
    request_s: float = 30.0
    wait_s: float = 60.0
    in_flight: int = 512
    per_caller: int = 128


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Every option of the server; ``reference.toml`` says what each one does."""

    listen: Endpoint = LISTEN
    state_dir: Path = Path("/var/lib/ctherd-server")
    plain_http: bool = False
    identity: str = "tokens"
    policy_file: Path | None = None
    profile: str = "open"
    default_host: str = ""
    move_wait_s: float = 30.0
    tls: TlsOptions = field(default_factory=TlsOptions)
    allow: AllowOptions = field(default_factory=AllowOptions)
    limits: LimitOptions = field(default_factory=LimitOptions)
    keystone: KeystoneSection = field(default_factory=KeystoneSection)

    def tenants_profile(self) -> Profile:
        """Return what tenants may declare.

        Raises: ConfigurationError.
        """
        allow = self.allow
        given: dict[str, Any] = {
            "require_destinations": allow.require_destinations,
            "quota_per_router": allow.quota_per_router,
            "quota_per_project": allow.quota_per_project,
            "projects": allow.projects,
            "quota_of_projects": allow.quota_of_projects,
        }
        if allow.helpers is not None:
            given["helpers"] = allow.helpers
        if allow.roles:
            given["roles"] = allow.roles
        return preset(self.profile, **given)


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """The server that this host's agent follows; without a URL it enforces the herd file."""

    server: str = ""
    host: str = ""
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    server_keys: Path | None = None


_FILE: Final = option.or_none("", option.path)
_HELPERS: Final = option.list_of(frozenset, option.choice(*names()))
_QUOTA: Final = option.or_none("unlimited", option.whole(0, 1_000_000))

SERVER: Final = option.section(
    ServerOptions,
    {
        "listen": option.any_port,
        "state_dir": option.path,
        "plain_http": option.flag,
        "identity": option.choice(*IDENTITIES),
        "policy_file": _FILE,
        "profile": option.choice(*PRESETS),
        "default_host": option.text,
        "move_wait_s": option.number(0, 3600),
        "tls": option.section(TlsOptions, {"certificate": _FILE, "key": _FILE, "client_ca": _FILE}),
        "allow": option.section(
            AllowOptions,
            {
                "helpers": option.or_none("profile", _HELPERS),
                "require_destinations": _HELPERS,
                "quota_per_router": _QUOTA,
                "quota_per_project": _QUOTA,
                "roles": option.table_of(_HELPERS),
                "projects": option.table_of(_HELPERS),
                "quota_of_projects": option.table_of(_QUOTA),
            },
        ),
        "limits": option.section(
            LimitOptions,
            {
                "body_bytes": option.whole(1024, 1024 * 1024 * 1024),
                "body_s": option.number(0.1, 3600),
                "request_s": option.number(0.1, 3600),
                "wait_s": option.number(0, 3600),
                "in_flight": option.whole(1, 1_000_000),
                "per_caller": option.whole(1, 1_000_000),
            },
        ),
        "keystone": option.section(
            KeystoneSection,
            {
                "remember_s": option.number(0, 86_400),
                "authtoken": option.table_of(option.scalar),
            },
        ),
    },
)

FOLLOW: Final = option.section(
    FollowOptions,
    {
        "server": option.text,
        "host": option.text,
        "token_file": _FILE,
        "certificate": _FILE,
        "key": _FILE,
        "ca": _FILE,
        "server_keys": _FILE,
    },
)
