"""What a server's no means for whoever typed the command, and what that person can do about it."""

from typing import Any, ClassVar, Final

import httpx

from ctherd.errors import (
    Contended,
    CtherdError,
    InvalidDeclaration,
    NotFound,
    Overloaded,
    RemoteProtocolError,
)

_LONGEST_WORDS: Final = 500


class ServerAway(CtherdError):
    """No server answers there, or it broke off."""

    code: ClassVar[str] = "server-away"


class TokenRefused(CtherdError):
    """The server does not know who asks."""

    code: ClassVar[str] = "unauthenticated"


class Forbidden(CtherdError):
    """The server knows who asks, and this person may not."""

    code: ClassVar[str] = "forbidden"


class Refused(CtherdError):
    """The server says no, in its own words."""

    code: ClassVar[str] = "refused"


def away(url: str, error: httpx.HTTPError) -> ServerAway:
    """Translate what kept us from an answer."""
    words = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError):
        cure = (
            "is `ctherd up` or `ctherd server` running there? --server or CTHERD_SERVER says where"
        )
    else:
        cure = "ask again; if it was a change, look first whether it was made"
    return ServerAway(f"the server does not answer: {words}", where=url, cure=cure)


def refusal(response: httpx.Response) -> CtherdError:
    """Translate an answer that is a no."""
    words, where = _words(response), str(response.request.url)
    match response.status_code:
        case 400:
            return InvalidDeclaration(words, where=where)
        case 401:
            return TokenRefused(
                words,
                where=where,
                cure="give a token with --token-file or CTHERD_TOKEN; "
                "`ctherd token create` makes one on the server's host",
            )
        case 403:
            return Forbidden(words, where=where, cure="ask the server's operator for the role")
        case 404:
            return NotFound(words, where=where)
        case 409:
            return Contended(words, where=where)
        case 429 | 503:
            return Overloaded(words, retry_after_s=_retry_after_s(response))
    return Refused(f"{response.status_code}: {words}", where=where)


def not_understood(response: httpx.Response) -> RemoteProtocolError:
    """Tell of an answer that is none of ours."""
    return RemoteProtocolError(
        f"this is no answer of a ctherd server: {response.text[:_LONGEST_WORDS]!r}",
        where=str(response.request.url),
        cure="does the URL lead to the server, and to its root?",
    )


def _words(response: httpx.Response) -> str:
    try:
        told: Any = response.json()
        told = told.get("NeutronError", told.get("error", told))
        return str(told["message"] if isinstance(told, dict) else told)[:_LONGEST_WORDS]
    except (ValueError, KeyError, AttributeError):
        return response.text[:_LONGEST_WORDS] or response.reason_phrase


def _retry_after_s(response: httpx.Response) -> int:
    after = response.headers.get("Retry-After", "")
    return int(after) if after.isascii() and after.isdigit() else 1
