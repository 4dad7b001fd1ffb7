"""Where the server is and how we prove who we are: told by options, the environment, or `up`.

A server that `ctherd up` started left its address and a token in its state directory, for whoever
may read them. That token goes to that address and to no other.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ctherd.errors import ConfigurationError, NotFound
from ctherd.private_file import read_private

ADDRESS_FILE: Final = "url"
ADMIN_TOKEN_FILE: Final = "admin-token"

SERVER_VARIABLE: Final = "CTHERD_SERVER"
TOKEN_VARIABLE: Final = "CTHERD_TOKEN"
AUTHORITIES_VARIABLE: Final = "CTHERD_CA"


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """A server's root URL, and what is shown to it; *authorities* None means the system's."""

    url: str
    token: str = ""
    authorities: Path | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; everything may be left out."""

    url: str | None = None
    token_file: Path | None = None
    authorities: Path | None = None


def find_access(asked: Asked, environment: Mapping[str, str], server_dir: Path) -> Access:
    """Return the server that is meant.

    Raises: ConfigurationError if nothing says where it is, or a token cannot be read.
    """
    local = _local_url(server_dir)
    url = (asked.url or environment.get(SERVER_VARIABLE) or local).rstrip("/")
    if not url:
        raise ConfigurationError(
            "nothing says where the server is",
            cure=f"--server URL or {SERVER_VARIABLE}; or start one here: `ctherd up`",
        )
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{url!r} is no URL", cure="write http://… or https://…")
    authorities = asked.authorities or _path(environment.get(AUTHORITIES_VARIABLE, ""))
    return Access(url, _token(asked, environment, server_dir, url == local), authorities)


def _token(asked: Asked, environment: Mapping[str, str], server_dir: Path, is_local: bool) -> str:
    if asked.token_file is not None:
        return _read(asked.token_file)
    if given := environment.get(TOKEN_VARIABLE, ""):
        return given.strip()
    path = server_dir / ADMIN_TOKEN_FILE
    # Who may not read it is simply not the administrator: the server will say so.
    return _read(path) if is_local and os.access(path, os.R_OK) else ""


def _read(path: Path) -> str:
    try:
        return read_private(path).decode("ascii").strip()
    except (NotFound, ValueError) as error:
        raise ConfigurationError("there is no token in this file", where=str(path)) from error


def _local_url(server_dir: Path) -> str:
    try:
        return (server_dir / ADDRESS_FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _path(text: str) -> Path | None:
    return Path(text) if text else None
