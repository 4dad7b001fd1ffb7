"""Tokens: callers are known by a file that the operator writes with `ctherd token`."""

import hmac
import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from ctherd.authz.caller import Caller, Credentials, IdentityUnavailable, Unauthenticated
from ctherd.authz.identity.presented import NotPresented, presented_token
from ctherd.authz.identity.token_file import Token, TokenId, read_tokens, split
from ctherd.errors import CtherdError

_log = logging.getLogger(__name__)

_NOBODYS: Final = "0" * 64
"""Compared with instead of the digest of a token that does not exist, so that it takes as long."""


class _Mark(NamedTuple):
    """What tells one version of the file from the next; each is a new file."""

    inode: int
    size: int
    changed_ns: int


class TokenIdentity:
    """Vouches for the holders of tokens in the file at *path*.

    The file is looked at with every request (2 µs): a revoked token is refused from then on.
    A file that cannot be read vouches for nobody, and lets nobody in.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] | None = None) -> None:
        self._path = path
        self._now = now or (lambda: datetime.now(UTC))
        self._mark: _Mark | None = None
        self._tokens: Mapping[TokenId, Token] = {}
        self._trouble = ""

    async def authenticate(self, credentials: Credentials) -> Caller:
        """Return the holder of the token that was presented.

        Raises: NotPresented if none of ours was; Unauthenticated; IdentityUnavailable.
        """
        presented = split(presented_token(credentials))
        if presented is None:
            raise NotPresented("no token of this server was presented")
        self._look()
        token = self._tokens.get(presented.id)
        known = hmac.compare_digest(presented.digest, token.digest if token else _NOBODYS)
        if token is None or not known or token.expired(self._now().strftime("%Y-%m-%dT%H:%M:%SZ")):
            raise Unauthenticated("this token is not known, was revoked, or has expired")
        return Caller(token.user, token.project, token.roles, "tokens", token.host)

    def _look(self) -> None:
        try:
            mark = _mark(self._path)
            if mark != self._mark:
                self._tokens = read_tokens(self._path)
                self._mark = mark
                self._trouble = ""
        except (OSError, CtherdError) as error:
            self._mark = None
            if str(error) != self._trouble:
                self._trouble = str(error)
                _log.error("the tokens cannot be read, so nobody is let in by them: %s", error)
            raise IdentityUnavailable(
                "the file of tokens cannot be read", cure="the server's log says why"
            ) from error


def _mark(path: Path) -> _Mark:
    found = os.stat(path)
    return _Mark(found.st_ino, found.st_size, found.st_ctime_ns)
