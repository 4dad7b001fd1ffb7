"""Who may do what beside the tenants' API; whoever may not is noted in the audit."""

from collections.abc import Mapping
from typing import Final, NoReturn

from ctherd.api.endpoint import Visit
from ctherd.authz.policy import Policy
from ctherd.service.committer import Committer
from ctherd.service.refusals import Forbidden

_NOTHING: Final[Mapping[str, str]] = {}


class Gate:
    """Asks *policy*, and tells *committer*."""

    def __init__(self, policy: Policy, committer: Committer) -> None:
        self._policy = policy
        self._committer = committer

    def allows(self, rule: str, visit: Visit, target: Mapping[str, str] = _NOTHING) -> bool:
        """Tell whether *rule* lets whoever visits do it to *target*."""
        return self._policy.allows(rule, visit.caller, target)

    async def admit(self, rule: str, visit: Visit, target: Mapping[str, str] = _NOTHING) -> None:
        """Let nobody pass whom *rule* does not.

        Raises: Forbidden.
        """
        if not self.allows(rule, visit, target):
            await self.refuse(rule, visit, target)

    async def refuse(
        self, rule: str, visit: Visit, target: Mapping[str, str] = _NOTHING
    ) -> NoReturn:
        """Note that *rule* does not let whoever visits.

        Raises: Forbidden.
        """
        after = dict(target) if target else None
        await self._committer.note(visit.asker.denied(rule, rule, after=after))
        raise Forbidden(rule)
