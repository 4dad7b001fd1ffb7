"""Asks the policy for a use case, and sees to it that a denial is audited."""

from ctherd.authz.policy import Policy, owned_by
from ctherd.model.router import ProjectId, Router
from ctherd.service.asker import Asker
from ctherd.service.committer import Committer
from ctherd.service.refusals import Forbidden, Hidden
from ctherd.signing.canonical import Plain


class Permission:
    """Lets askers do what the policy lets them do.

    Reading is only hidden, never audited: whoever enumerates ids shall not fill the trail.
    """

    def __init__(self, policy: Policy, committer: Committer) -> None:
        self._policy = policy
        self._committer = committer

    def given(self, rule: str, asker: Asker, project: ProjectId | None) -> bool:
        """Tell whether *rule* lets *asker* do it to what *project* owns."""
        return self._policy.allows(rule, asker.caller, owned_by(project or ProjectId("")))

    async def to_create(
        self,
        rule: str,
        asker: Asker,
        project: ProjectId | None,
        *,
        router: Router | None = None,
        after: Plain | None = None,
    ) -> None:
        """Let nobody pass whom *rule* does not.

        Raises: Forbidden.
        """
        if not self.given(rule, asker, project):
            await self.deny(asker, rule, rule, router=router, after=after)
            raise Forbidden(rule)

    async def to_change(
        self, rule: str, sight: str, asker: Asker, router: Router, *, helper: str = ""
    ) -> None:
        """Let nobody pass whom *rule* does not, and tell nothing to whom *sight* does not.

        Raises: Forbidden, Hidden.
        """
        if self.given(rule, asker, router.project):
            return
        await self.deny(asker, rule, rule, router=router, helper=helper)
        raise Forbidden(rule) if self.given(sight, asker, router.project) else Hidden

    async def deny(
        self,
        asker: Asker,
        action: str,
        rule: str,
        *,
        router: Router | None = None,
        helper: str = "",
        after: Plain | None = None,
    ) -> None:
        """Audit that *rule* did not let *asker* do *action*."""
        entry = asker.denied(action, rule, router=router, helper=helper, after=after)
        await self._committer.note(entry)
