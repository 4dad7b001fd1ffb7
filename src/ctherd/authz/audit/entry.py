"""An audit entry: who asked for what, what was decided by which rule, and what came of it.

No secret enters: a caller is named by what its identity proved, never by the token that proved it.
"""

from dataclasses import dataclass
from enum import StrEnum

from ctherd.authz.caller import Caller
from ctherd.model.router import ProjectId
from ctherd.signing.canonical import Plain


class Decision(StrEnum):
    """What became of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One mutation, or one denial.

    Shape: *caller* None was never authenticated; *action* is the policy's name of what was asked
    (``create_router_conntrack_helper``); *rule* is what decided; *project* owns *router*; *before*
    and *after* are plain data that canonical JSON can spell, None where there is none.
    When it was is said by the trail, at the moment that the entry gets its place in a chain.
    """

    caller: Caller | None
    address: str
    request_id: str
    action: str
    decision: Decision
    rule: str = ""
    project: ProjectId | None = None
    router: str = ""
    helper: str = ""
    before: Plain | None = None
    after: Plain | None = None

    def as_plain(self) -> Plain:
        """Return the entry as the audit tells it."""
        return {
            "who": None if self.caller is None else _who(self.caller),
            "address": self.address,
            "request_id": self.request_id,
            "action": self.action,
            "decision": self.decision.value,
            "rule": self.rule,
            "project": self.project,
            "router": self.router,
            "helper": self.helper,
            "before": self.before,
            "after": self.after,
        }


def _who(caller: Caller) -> Plain:
    return {
        "user": caller.user,
        "project": caller.project,
        "roles": sorted(caller.roles),
        "via": caller.via,
        "host": caller.host,
    }
