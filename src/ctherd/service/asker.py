"""Who asked for something, from where, and under which request id: what the audit must know."""

from dataclasses import dataclass

from ctherd.authz.audit.entry import AuditEntry, Decision
from ctherd.authz.caller import Caller
from ctherd.model.router import Router
from ctherd.signing.canonical import Plain


@dataclass(frozen=True, slots=True)
class Asker:
    """A request as the audit sees it.

    Shape: *address* is the peer's; *request* is the id that every log line of it carries.
    """

    caller: Caller
    address: str
    request: str

    def allowed(
        self,
        rule: str,
        router: Router,
        *,
        helper: str = "",
        before: Plain | None = None,
        after: Plain | None = None,
    ) -> AuditEntry:
        """Return the entry of what *rule* let happen to *router*."""
        return AuditEntry(
            caller=self.caller,
            address=self.address,
            request_id=self.request,
            action=rule,
            decision=Decision.ALLOWED,
            rule=rule,
            project=router.project,
            router=router.id,
            helper=helper,
            before=before,
            after=after,
        )

    def denied(
        self,
        action: str,
        rule: str,
        *,
        router: Router | None = None,
        helper: str = "",
        after: Plain | None = None,
    ) -> AuditEntry:
        """Return the entry of what *rule* did not let happen; *after* is what was asked for."""
        return AuditEntry(
            caller=self.caller,
            address=self.address,
            request_id=self.request,
            action=action,
            decision=Decision.DENIED,
            rule=rule,
            project=None if router is None else router.project,
            router="" if router is None else router.id,
            helper=helper,
            after=after,
        )
