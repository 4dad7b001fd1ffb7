"""What a helper must be: known, allowed, and in no other's way. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from ctherd.authz.caller import Caller
from ctherd.authz.profile import Profile
from ctherd.model.assignment import (
    ANY,
    Assignment,
    AssignmentId,
    Destinations,
    OnRevoke,
    overlap,
)
from ctherd.model.catalog import Protocol, protocols_of
from ctherd.model.document import RouterId
from ctherd.model.router import ProjectId
from ctherd.service.refusals import (
    DuplicateHelper,
    HelperNotAllowed,
    HelpersExclude,
    ProtocolUnsupported,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A helper as somebody asks for it; nothing of it is judged yet."""

    helper: str
    protocol: str
    port: int
    destinations: Destinations = ANY
    description: str = ""
    on_revoke: OnRevoke = OnRevoke.DETACH
    adopt_flows: bool = False

    def reaches_more(self, before: "Wanted | None") -> bool:
        """Tell whether it reaches open connections that it did not as *before* (None: not there).

        Who may have such a helper is asked again whenever other connections come into question.
        """
        return self.adopt_flows and (before is None or self._reached() != before._reached())

    def _reached(self) -> object:
        return self.adopt_flows, self.helper, self.protocol, self.port, self.destinations


def judge(
    wanted: Wanted, helper: AssignmentId, caller: Caller, project: ProjectId, profile: Profile
) -> Assignment:
    """Return the assignment that *wanted* asks for.

    Raises: HelperNotAllowed, ProtocolUnsupported; InvalidDeclaration for destinations of a family
    that the helper does not serve.
    """
    supported = protocols_of(wanted.helper)
    if not supported:
        raise HelperNotAllowed(wanted.helper)
    if wanted.protocol not in supported:
        raise ProtocolUnsupported(wanted.helper, wanted.protocol, supported)
    assignment = Assignment(
        helper,
        wanted.helper,
        Protocol(wanted.protocol),
        wanted.port,
        wanted.destinations,
        wanted.on_revoke,
        wanted.adopt_flows,
    )
    refused = profile.refusal(caller, project, assignment)
    if refused is not None:
        raise HelperNotAllowed(wanted.helper, refused.rule, refused.words)
    return assignment


def refuse_collision(router: RouterId, one: Assignment, others: Iterable[Assignment]) -> None:
    """Check that *one* is not there yet, and that no packet is claimed by one of *others*, too.

    Raises: DuplicateHelper, HelpersExclude.
    """
    for other in others:
        if (other.protocol, other.port) != (one.protocol, one.port) or other.id == one.id:
            continue
        if other.key == one.key:
            raise DuplicateHelper(router, other.key._replace(helper=other.helper))
        if overlap(one.destinations, other.destinations):
            raise HelpersExclude(
                f"{other.protocol}/{other.port} has helper {other.helper} already ({other.id}), "
                f"and the destinations of {one.helper} overlap with its own: only one could work"
            )
