"""Mutual TLS: an agent is the host that its certificate names."""

from ctherd.authz.caller import Caller, Credentials, Unauthenticated
from ctherd.authz.identity.presented import NotPresented, presented_token
from ctherd.model.router import HostName


class CertificateIdentity:
    """Vouches for agents whose certificate the TLS layer has verified."""

    async def authenticate(self, credentials: Credentials) -> Caller:
        """Return the agent of the host that the certificate names.

        Shape: a token goes before a certificate: whoever presents both wants to be the token's.
        Raises: NotPresented; Unauthenticated for a name that cannot be a host's.
        """
        name = credentials.certificate_host
        if not name or presented_token(credentials):
            raise NotPresented("no certificate was presented")
        if "/" in name or not name.isprintable():
            raise Unauthenticated(f"{name!r} cannot be the name of a host")
        return Caller(f"agent of {name}", None, frozenset(), "tls", HostName(name))
