"""What a request presents: the token in one of the three places where clients put it."""

import base64
import binascii
from typing import Final

from ctherd.authz.caller import Credentials, Unauthenticated

_LONGEST: Final = 8192
"""More characters than any token has."""


class NotPresented(Unauthenticated):
    """Nothing was presented that this identity knows: another one may."""


def presented_token(credentials: Credentials) -> str:
    """Return the token that *credentials* bring, "" if there is none.

    Shape: of ``X-Auth-Token`` (OpenStack's clients), ``Authorization: Bearer`` (agents, curl), or
    the password of ``Authorization: Basic`` (openstacksdk's http_basic; the user name is nobody's).
    Raises: Unauthenticated for what cannot be a token at all.
    """
    token = credentials.headers.get("x-auth-token", "").strip()
    token = token or _authorized(credentials.headers.get("authorization", ""))
    if len(token) > _LONGEST or not token.isascii() or not token.isprintable():
        raise Unauthenticated("this cannot be a token")
    return token


def _authorized(header: str) -> str:
    scheme, _, rest = header.strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip()
        case "basic":
            return _password(rest.strip())
        case _:
            return ""


def _password(encoded: str) -> str:
    try:
        pair = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise Unauthenticated("this is not HTTP Basic authentication") from error
    return pair.partition(":")[2]
