"""The file of tokens: who holds which, and until when, but no token itself.

A token is 256 random bits, and the file has its SHA-256. A slow hash with salt, as passwords need,
would protect nothing here: nobody can try out 2^256 tokens, at any speed. It would only let anybody
who sends wrong ones keep the server busy.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, NewType

from ctherd.errors import ConfigurationError, InvalidDeclaration, NotFound
from ctherd.model.router import HostName, ProjectId
from ctherd.private_file import create_private, only_writer, read_private, replace_private

TOKEN_FILE: Final = "tokens.json"

TokenId = NewType("TokenId", str)

# With its prefix, a token that leaked is found by whoever scans for secrets.
_TOKEN: Final = re.compile(r"ctherd_([0-9a-f]{16})_([0-9a-f]{64})")
_VERSION: Final = 1

IMPLIED: Final[Mapping[str, tuple[str, ...]]] = {
    "admin": ("manager", "member", "reader"),
    "manager": ("member", "reader"),
    "member": ("reader",),
}
"""Roles that come with a role, as Keystone's default roles imply each other."""


@dataclass(frozen=True, slots=True)
class Token:
    """What the file says of one token.

    Shape: *digest* is the hexadecimal SHA-256 of the whole token; times are RFC 3339, UTC, and
    *expires* "" is never. A token is either of a *host*, without project and roles, or of a user.
    """

    id: TokenId
    digest: str
    user: str
    project: ProjectId | None
    roles: frozenset[str]
    host: HostName | None
    created: str
    expires: str = ""
    description: str = ""

    def expired(self, now: str) -> bool:
        """Tell whether the token is good no more at *now*."""
        return bool(self.expires) and self.expires <= now


class Grant(NamedTuple):
    """What a new token shall be good for; as in Token."""

    user: str = ""
    project: str = ""
    roles: tuple[str, ...] = ()
    host: str = ""
    expires: str = ""
    description: str = ""


class Split(NamedTuple):
    """A token as it was presented: its id, and the digest of all of it."""

    id: TokenId
    digest: str


def split(token: str) -> Split | None:
    """Return what *token* is looked up and compared by; None if it is none of ours."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    return Split(TokenId(found[1]), hashlib.sha256(token.encode("ascii")).hexdigest())


def read_tokens(path: Path) -> dict[TokenId, Token]:
    """Return every token in the file.

    Raises: NotFound; ConfigurationError if others may read it, or if it is no file of tokens.
    """
    try:
        plain = json.loads(read_private(path))
        if plain["version"] != _VERSION:
            raise ValueError("another version")
        tokens = [_token(TokenId(name), each) for name, each in plain["tokens"].items()]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError("this is not a file of tokens", where=str(path)) from error
    return {each.id: each for each in tokens}


def create_token(path: Path, grant: Grant, *, now: str = "") -> tuple[str, Token]:
    """Make a token and note it in the file, which is made if needed; return it, this once.

    Raises: InvalidDeclaration for a grant that cannot be meant; ConfigurationError.
    """
    made = TokenId(secrets.token_hex(8))
    text = f"ctherd_{made}_{secrets.token_hex(32)}"
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()
    token = _granted(made, digest, grant, now or _utc_now())
    with only_writer(path.parent):
        try:
            tokens = read_tokens(path)
        except NotFound:
            create_private(path, _spelled([token]))
        else:
            replace_private(path, _spelled([*tokens.values(), token]))
    return text, token


def revoke_token(path: Path, token: TokenId) -> Token:
    """Take *token* out of the file, and return what it was good for.

    Raises: NotFound; ConfigurationError.
    """
    with only_writer(path.parent):
        tokens = read_tokens(path)
        if token not in tokens:
            raise NotFound(f"there is no token {token!r}", where=str(path))
        revoked = tokens.pop(token)
        replace_private(path, _spelled(tokens.values()))
    return revoked


def parse_time(text: str) -> str:
    """Return the time that *text* says (RFC 3339, with an offset), as it is compared here: in UTC.

    Raises: InvalidDeclaration.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidDeclaration(f"{text!r} is not a time: {error}") from error
    if time.tzinfo is None:
        raise InvalidDeclaration(f"{text!r} does not say in which time zone", cure="end it with Z")
    return _utc(time)


def _granted(made: TokenId, digest: str, grant: Grant, now: str) -> Token:
    if bool(grant.host) == bool(grant.user):
        raise InvalidDeclaration("a token is for a user or for the agent of a host")
    if grant.host and (grant.project or grant.roles):
        raise InvalidDeclaration("an agent has neither project nor roles")
    if "/" in grant.host or not grant.host.isprintable():
        raise InvalidDeclaration(f"{grant.host!r} cannot be the name of a host")
    if grant.user and not grant.roles:
        raise InvalidDeclaration(
            "a user without any role may do nothing", cure="give admin, member or reader"
        )
    return Token(
        id=made,
        digest=digest,
        user=grant.user or f"agent of {grant.host}",
        project=ProjectId(grant.project) if grant.project else None,
        roles=_with_implied(grant.roles),
        host=HostName(grant.host) if grant.host else None,
        created=now,
        expires=parse_time(grant.expires) if grant.expires else "",
        description=grant.description,
    )


def _with_implied(roles: Iterable[str]) -> frozenset[str]:
    lower = {role.lower() for role in roles}
    return frozenset(lower.union(*(IMPLIED.get(role, ()) for role in lower)))


def _token(name: TokenId, plain: Any) -> Token:
    for field in ("digest", "user", "created", "expires", "description"):
        if not isinstance(plain[field], str):
            raise TypeError(f"{field} is not a text")
    if len(plain["digest"]) != hashlib.sha256().digest_size * 2:
        raise ValueError("this is not a digest")
    return Token(
        id=name,
        digest=plain["digest"],
        user=plain["user"],
        project=ProjectId(plain["project"]) if plain["project"] else None,
        roles=frozenset(str(each) for each in plain["roles"]),
        host=HostName(plain["host"]) if plain["host"] else None,
        created=plain["created"],
        expires=plain["expires"],
        description=plain["description"],
    )


def _spelled(tokens: Iterable[Token]) -> bytes:
    plain = {
        each.id: {
            "digest": each.digest,
            "user": each.user,
            "project": each.project,
            "roles": sorted(each.roles),
            "host": each.host,
            "created": each.created,
            "expires": each.expires,
            "description": each.description,
        }
        for each in tokens
    }
    return json.dumps({"version": _VERSION, "tokens": plain}, indent=2).encode() + b"\n"


def _utc_now() -> str:
    return _utc(datetime.now(UTC))


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
