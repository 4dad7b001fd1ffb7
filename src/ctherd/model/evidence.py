"""Evidence: what was found when somebody asked whether an assignment works, and if it still counts.

An assignment is proven for one family at a time, on one host. Evidence is about the kernel as it
was: what has changed since makes it stale, and nothing else does.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.catalog import Family


class Result(StrEnum):
    """Whether the helper works."""

    PROVEN = "proven"
    FAILED = "failed"


class Proof(StrEnum):
    """How much was done to find out.

    STATE: the kernel's state was read; PARTIAL: a flow was sent through a copy of the router that
    lacks something; PROBE: through one that lacks nothing that is known of.
    """

    STATE = "state"
    PARTIAL = "partial"
    PROBE = "probe"


class Circumstances(NamedTuple):
    """What evidence depends on besides its assignment.

    Shape: *boot* is the kernel's id of this boot, *cookie* that of the netns; *generation* is the
    ruleset's, and while it stands *ruleset*, a digest of it, stands too (but for iptables-legacy,
    which counts no generations).
    """

    boot: str
    cookie: int
    generation: int
    ruleset: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found of one assignment in one family.

    Shape: *words* say what was seen, or why it failed; *missing* names what the copy of the router
    lacked; *when* is RFC 3339 in UTC; *kernel* is its release.
    """

    key: AssignmentKey
    family: Family
    destinations: Destinations
    result: Result
    proof: Proof
    words: str
    missing: tuple[str, ...]
    when: str
    kernel: str
    found_in: Circumstances


def stale_because(evidence: Evidence, destinations: Destinations | None, now: Circumstances) -> str:
    """Say why *evidence* does not count any more; "" if it does.

    Shape: *destinations* are those that the kernel has for the assignment now, None if it has it
    not at all.
    """
    if destinations != evidence.destinations:
        return "the assignment has changed since"
    before = evidence.found_in
    if now.boot != before.boot:
        return "the machine was started since"
    if now.cookie != before.cookie:
        return "the network namespace was made anew since"
    if now.ruleset != before.ruleset:
        return "the ruleset has changed since"
    return ""
