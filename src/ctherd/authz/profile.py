"""The profile: which helpers a tenant may have, how many, and whether for any destination.

The policy says who may write at all; the profile says what. It is the server's counterpart of the
agent's local policy, which decides again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from ctherd.authz.caller import Caller
from ctherd.errors import ConfigurationError
from ctherd.guard.policy import kernel_names
from ctherd.model.assignment import Assignment
from ctherd.model.catalog import HELPERS
from ctherd.model.router import ProjectId

ALL: Final = frozenset(helper.name for helper in HELPERS)

RISKY: Final = frozenset({"pptp", "irc", "h323", "snmp", "snmp_trap"})
"""What the strict profile asks a role for: these open much, on the word of a stranger's payload."""

RISKY_ROLE: Final = "conntrack_risky"

Helpers = frozenset[str]
"""Names of helpers, aliases among them."""


class Refused(NamedTuple):
    """Why an assignment may not be: the *rule* of the profile, and the *words* for its author."""

    rule: str
    words: str


@dataclass(frozen=True, slots=True)
class Profile:
    """What may be declared; the default allows the whole catalog and any number.

    Shape: a helper is allowed if *projects* lists it for the router's project, or, for a project
    that is not in *projects*, if *helpers* does; and also if *roles* lists it for a role of the
    caller (lower case). An alias means every helper behind it. *require_destinations* names
    helpers that may not serve every address. A quota of None is no quota;
    *quota_of_projects* goes before *quota_per_project*.
    Raises: ConfigurationError, on construction.
    """

    helpers: Helpers = ALL
    roles: Mapping[str, Helpers] = field(default_factory=lambda: {"admin": ALL})
    projects: Mapping[ProjectId, Helpers] = field(default_factory=dict)
    require_destinations: Helpers = frozenset()
    quota_per_router: int | None = None
    quota_per_project: int | None = None
    quota_of_projects: Mapping[ProjectId, int | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._take("helpers", kernel_names(self.helpers))
        self._take("require_destinations", kernel_names(self.require_destinations))
        self._take("roles", {name.lower(): kernel_names(each) for name, each in self.roles.items()})
        self._take("projects", {name: kernel_names(each) for name, each in self.projects.items()})
        quotas = (self.quota_per_router, self.quota_per_project, *self.quota_of_projects.values())
        if any(quota is not None and quota < 0 for quota in quotas):
            raise ConfigurationError("a quota is below nothing", cure="write 0 or more")

    def refusal(self, caller: Caller, project: ProjectId, assignment: Assignment) -> Refused | None:
        """Return why *caller* may not have *assignment* on a router of *project*, if so."""
        helper = assignment.key.helper
        if helper not in self.projects.get(project, self.helpers) and not any(
            helper in self.roles.get(role, ()) for role in caller.roles
        ):
            words = f"Conntrack Helper {assignment.helper} is not allowed"
            return Refused("profile:helpers", words)
        if helper in self.require_destinations and not assignment.destinations:
            return Refused(
                "profile:require_destinations",
                f"Conntrack Helper {assignment.helper} needs destinations here",
            )
        return None

    def quota_of(self, project: ProjectId) -> int | None:
        """Return how many helpers all routers of *project* may have together."""
        return self.quota_of_projects.get(project, self.quota_per_project)

    def _take(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


PRESETS: Final[Mapping[str, Profile]] = {
    "open": Profile(),
    "strict": Profile(helpers=ALL - kernel_names(RISKY), roles={"admin": ALL, RISKY_ROLE: RISKY}),
}


def preset(name: str, **options: Any) -> Profile:
    """Return the profile *name* with *options*, which are fields of Profile, instead of its own.

    Raises: ConfigurationError.
    """
    if name not in PRESETS:
        known = " or ".join(PRESETS)
        raise ConfigurationError(f"there is no profile {name!r}", cure=f"choose {known}")
    return replace(PRESETS[name], **options)
