"""Decide what the local policy denies of a document, judging only what changed since last time."""

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import compress, islice
from operator import is_not
from types import MappingProxyType
from typing import Final

from ctherd.guard.policy import ALL_PORTS, Policy, PortRange, kernel_names
from ctherd.model.assignment import Assignment, AssignmentId, Destinations
from ctherd.model.catalog import TLS_PORTS, Protocol
from ctherd.model.document import HOST, Document, NetnsName, RouterId
from ctherd.model.safe_scope import SafeScope


@dataclass(frozen=True, slots=True)
class Denial:
    """Why an assignment may not be enforced here.

    Shape: *rule* is the name of the option that denies, *reason* one sentence for its author.
    """

    rule: str
    reason: str


Denials = Mapping[AssignmentId, Denial]

_Rule = Callable[[Assignment], Denial | None]

_NONE: Final[Denials] = MappingProxyType({})
_NOTHING: Final[Mapping[AssignmentId, Assignment]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the rules for single assignments said of a router's last document."""

    assignments: Mapping[AssignmentId, Assignment]
    denials: Denials


class Guard:
    """Applies one policy to documents; a changed policy takes a new guard.

    Judging an assignment again costs as much as comparing it, so it is skipped only for the very
    same object: whoever changes one assignment of many keeps the others.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._rules = tuple(_rules(policy))
        self._patterns = tuple(
            re.compile(fnmatch.translate(pattern)) for pattern in policy.netns_patterns
        )
        self._judged: dict[RouterId, _Judged] = {}

    @property
    def policy(self) -> Policy:
        """The policy that is applied."""
        return self._policy

    @property
    def scope(self) -> SafeScope:
        """What narrows the helpers that are allowed."""
        return self._policy.scope

    def denials(self, document: Document) -> Denials:
        """Return what may not be enforced of *document*, and why; empty allows it all."""
        if not document.assignments:
            self.forget(document.router)
            return _NONE
        everything = self._judge_netns(document.netns)
        if everything is not None:
            return dict.fromkeys(document.assignments, everything)
        return self._within_limit(document, self._judge_changed(document))

    def forget(self, router: RouterId) -> None:
        """Let go of a router that left; unknown ones are no error."""
        self._judged.pop(router, None)

    def _judge_netns(self, netns: NetnsName) -> Denial | None:
        if netns == HOST:
            if self._policy.allow_host:
                return None
            return Denial("allow_host", "the policy does not allow the host itself as a router")
        if any(pattern.match(netns) for pattern in self._patterns):
            return None
        return Denial("netns_patterns", f"the policy has no pattern that allows netns {netns}")

    def _judge_changed(self, document: Document) -> Denials:
        if not self._rules:
            return _NONE
        assignments = document.assignments
        last = self._judged.get(document.router, _Judged(_NOTHING, _NONE))
        # All in C: of a thousand assignments usually one is new.
        known = map(last.assignments.get, assignments)
        news = map(is_not, known, assignments.values())
        changed = dict(compress(assignments.items(), news))
        if not changed and len(assignments) == len(last.assignments):
            return last.denials
        denials = {
            each: denial
            for each, denial in last.denials.items()
            if each in assignments and each not in changed
        }
        for each in changed.values():
            denial = self._judge(each)
            if denial is not None:
                denials[each.id] = denial
        self._judged[document.router] = _Judged(assignments, denials)
        return denials

    def _judge(self, assignment: Assignment) -> Denial | None:
        for rule in self._rules:
            denial = rule(assignment)
            if denial is not None:
                return denial
        return None

    def _within_limit(self, document: Document, denials: Denials) -> Denials:
        limit = self._policy.max_per_router
        if limit is None or len(document.assignments) <= limit:
            return denials
        beyond = Denial("max_per_router", f"the policy allows {limit} assignments per router")
        return {**dict.fromkeys(islice(document.assignments, limit, None), beyond), **denials}


def _rules(policy: Policy) -> Iterator[_Rule]:
    """Yield the rules that *policy* really has, gravest first: the first to deny is named."""
    if policy.kill:
        yield _kill(kernel_names(policy.kill))
    if policy.allowed_helpers is not None:
        yield _allowed_helpers(kernel_names(policy.allowed_helpers))
    if policy.allowed_protocols != frozenset(Protocol):
        yield _allowed_protocols(policy.allowed_protocols)
    if policy.allowed_ports != ALL_PORTS:
        yield _allowed_ports(policy.allowed_ports)
    if not policy.allow_tls_ports:
        yield _no_tls_port
    if not policy.allow_adopt_flows:
        yield _no_adoption
    if policy.require_destinations:
        yield _require_destinations(kernel_names(policy.require_destinations))


def _kill(killed: frozenset[str]) -> _Rule:
    def rule(assignment: Assignment) -> Denial | None:
        if assignment.key.helper not in killed:
            return None
        return Denial("kill", f"the policy has withdrawn helper {assignment.key.helper}")

    return rule


def _allowed_helpers(allowed: frozenset[str]) -> _Rule:
    def rule(assignment: Assignment) -> Denial | None:
        if assignment.key.helper in allowed:
            return None
        return Denial(
            "allowed_helpers", f"the policy does not allow helper {assignment.key.helper}"
        )

    return rule


def _allowed_protocols(allowed: frozenset[Protocol]) -> _Rule:
    def rule(assignment: Assignment) -> Denial | None:
        if assignment.protocol in allowed:
            return None
        return Denial(
            "allowed_protocols", f"the policy does not allow helpers on {assignment.protocol}"
        )

    return rule


def _allowed_ports(ranges: tuple[PortRange, ...]) -> _Rule:
    def rule(assignment: Assignment) -> Denial | None:
        if any(low <= assignment.port <= high for low, high in ranges):
            return None
        return Denial("allowed_ports", f"the policy does not allow port {assignment.port}")

    return rule


def _require_destinations(helpers: frozenset[str]) -> _Rule:
    def rule(assignment: Assignment) -> Denial | None:
        if assignment.key.helper not in helpers or _is_scoped(assignment.destinations):
            return None
        return Denial(
            "require_destinations",
            f"the policy wants destinations for helper {assignment.key.helper}, "
            "and fewer than every address",
        )

    return rule


def _no_tls_port(assignment: Assignment) -> Denial | None:
    what = TLS_PORTS.get(assignment.port)
    if what is None:
        return None
    return Denial("allow_tls_ports", f"port {assignment.port} is {what}: no helper can read it")


def _no_adoption(assignment: Assignment) -> Denial | None:
    if not assignment.adopt_flows:
        return None
    return Denial(
        "allow_adopt_flows", "the policy lets no helper reach connections that are open already"
    )


def _is_scoped(destinations: Destinations) -> bool:
    # Destinations are collapsed: whatever spells every address has become one prefix of length 0.
    return bool(destinations) and all(prefix.prefixlen for prefix in destinations)
