"""Who asks: what an identity proved, and nothing that the request merely says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ctherd.errors import CtherdError
from ctherd.model.router import HostName, ProjectId


class Unauthenticated(CtherdError):
    """No credentials, or none that prove anything (401)."""

    code = "unauthenticated"


class IdentityUnavailable(CtherdError):
    """Whoever could say if these credentials are good cannot be asked now (503, never open)."""

    code = "identity-unavailable"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was authenticated.

    Shape: *roles* are lower case; *host* is set for an agent, which may speak for that host alone
    and has neither project nor roles; *via* names the identity that vouched (none, tokens,
    keystone, tls). With *host_netns_forbidden* he may not place a router in the namespace of a
    host itself, whatever his roles are: nobody proved who he is.
    """

    user: str
    project: ProjectId | None
    roles: frozenset[str]
    via: str
    host: HostName | None = None
    host_netns_forbidden: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brought, as the wire had it.

    Shape: *headers* by lower-case name; *address* is the peer's; *certificate_host* is the name
    in a client certificate that the TLS layer verified, "" without one.
    """

    headers: Mapping[str, str]
    address: str
    certificate_host: str = ""


class Identity(Protocol):
    """Proves who asks."""

    async def authenticate(self, credentials: Credentials) -> Caller:
        """Return who brought *credentials*.

        Raises: Unauthenticated, IdentityUnavailable.
        """
