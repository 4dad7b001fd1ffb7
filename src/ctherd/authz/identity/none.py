"""No identity at all: whoever reaches this loopback address is the administrator.

For a machine of one's own, and only when it is asked for. What protects it is that nobody else can
reach it; so everything is refused that a web page in a local browser could send: names that were
rebound to this address, other origins, and bodies that a form can post. The host's own network
namespace is not for such callers.
"""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from ctherd.authz.caller import Caller, Credentials, Unauthenticated
from ctherd.errors import ConfigurationError
from ctherd.model.router import ProjectId

PROJECT: Final = ProjectId("local")
"""Who owns what is declared without an identity."""

_CALLER: Final = Caller(
    "local",
    PROJECT,
    frozenset({"admin", "manager", "member", "reader"}),
    "none",
    host_netns_forbidden=True,
)
_JSON: Final = "application/json"


class NoIdentity:
    """Lets everybody in who talks to a loopback address.

    Raises: ConfigurationError, on construction, if the server listens at *address* that others
    can reach.
    """

    def __init__(self, address: str) -> None:
        if not _is_loopback(address):
            raise ConfigurationError(
                f"without an identity, the server must not listen at {address}",
                cure="listen at 127.0.0.1 or ::1, or choose the identity tokens or keystone",
            )

    async def authenticate(self, credentials: Credentials) -> Caller:
        """Return the administrator.

        Raises: Unauthenticated for what may have been sent by somebody else's web page.
        """
        headers = credentials.headers
        if not _is_loopback(credentials.address):
            raise Unauthenticated(f"{credentials.address} is not this machine")
        host = headers.get("host", "")
        if not _names_loopback(host):
            raise Unauthenticated(f"the server is not called {host!r} here")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Unauthenticated(f"a page of {origin!r} may not use this server")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Unauthenticated("a page of another site may not use this server")
        if _has_body(credentials) and _media_type(credentials) != _JSON:
            raise Unauthenticated(f"a body must be {_JSON}; others any web page can send")
        return _CALLER


def _names_loopback(host: str) -> bool:
    """Tell whether the Host header *host* can only mean this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _has_body(credentials: Credentials) -> bool:
    headers = credentials.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _media_type(credentials: Credentials) -> str:
    return credentials.headers.get("content-type", "").partition(";")[0].strip().lower()
