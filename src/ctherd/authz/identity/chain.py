"""Several identities in a row: tokens and certificates for agents, Keystone for tenants."""

from collections.abc import Sequence

from ctherd.authz.caller import Caller, Credentials, Identity, Unauthenticated
from ctherd.authz.identity.presented import NotPresented


class IdentityChain:
    """Asks *identities* in their order, until one knows what was presented.

    The first that knows it decides: a token of ours that was revoked is shown to nobody else, and
    an identity that cannot be asked is no reason to ask another.
    """

    def __init__(self, identities: Sequence[Identity]) -> None:
        self._identities = tuple(identities)

    async def authenticate(self, credentials: Credentials) -> Caller:
        """Return whom the first identity that knows *credentials* vouches for.

        Raises: Unauthenticated, IdentityUnavailable.
        """
        for identity in self._identities:
            try:
                return await identity.authenticate(credentials)
            except NotPresented:
                continue
        raise Unauthenticated("no credentials were presented that are known here")
