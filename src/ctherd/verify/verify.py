"""Verification of one router: the state of its kernel, then a flow through a copy of it."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from ctherd.errors import CtherdError
from ctherd.model.evidence import Circumstances, Evidence, Proof, Result
from ctherd.netns.directory import NetnsDirectory
from ctherd.verify import probe
from ctherd.verify.copy.interfaces import Link, read_links
from ctherd.verify.copy.router import Copy, copied
from ctherd.verify.flows.catalog import FLOWS, OWN_SOCKETS
from ctherd.verify.flows.way import NoFlow
from ctherd.verify.look import Seen, look
from ctherd.verify.sides import Map, NoWay, Sides
from ctherd.verify.state import Check, NatMissing, State, judge
from ctherd.verify.target import Question, Target

_NOWHERE = Circumstances("", 0, 0, "")
_PATIENCE_S = 120.0
"""Each flow that does not come through takes seconds, and a router may have a thousand helpers."""

_MOST_WORDS = 1000
_MOST_MISSING = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one question: the evidence, and the checks of state behind it."""

    evidence: Evidence
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies routers whose netns are in *directory*.

    Shape: *now* tells the time as RFC 3339; *may_probe* false: only the kernel's state is read.
    """

    directory: NetnsDirectory
    nat_missing: NatMissing
    now: Callable[[], str]
    may_probe: bool

    def verify(self, target: Target) -> list[Finding]:
        """Return what is found of each assignment of *target* in each family.

        A netns that cannot be read is a failure of all of them, not an error.
        """
        try:
            seen = look(self.directory, target)
        except (CtherdError, OSError) as error:
            words = f"the netns cannot be read: {error}"
            return [
                Finding(self._evidence(target, question, Result.FAILED, words), ())
                for question in target.questions()
            ]
        states = {
            question: judge(seen, target, question.key, question.family, self.nat_missing)
            for question in target.questions()
        }
        probed = self._probed(target, seen, states)
        return [
            Finding(self._evident(target, seen, question, state, probed), state.checks)
            for question, state in states.items()
        ]

    # -- probing ---------------------------------------------------------------------------------

    def _probed(self, target: Target, seen: Seen, states: Mapping[Question, State]) -> "Probed":
        """Probe what is not known to be wrong already."""
        wanted = [each for each, state in states.items() if not state.failures]
        if not wanted or not self.may_probe:
            return Probed()
        try:
            with self.directory.held(target.netns) as netns_fd:
                return self._through_a_copy(netns_fd, target, seen, wanted)
        except (CtherdError, OSError) as error:
            reason = f"no copy of the router could be made: {error}"
            return Probed(untold=dict.fromkeys(wanted, reason))

    def _through_a_copy(
        self, netns_fd: int, target: Target, seen: Seen, wanted: list[Question]
    ) -> "Probed":
        links = read_links(netns_fd)
        sides, untold = _sides(Map(netns_fd, links, target.scope), wanted)
        used = {
            side.interface
            for ways in sides.values()
            for each in ways
            if each is not None
            for side in (each.client, each.server)
        }
        told: dict[Question, probe.Seen] = {}
        with copied(netns_fd, links, used, target.scope) as copy:
            missing = copy.missing
            if look(self.directory, target).circumstances != seen.circumstances:
                missing = (*missing, "the ruleset changed while it was copied")
            give_up_s = time.monotonic() + _PATIENCE_S
            for question, ways in sides.items():
                if time.monotonic() > give_up_s:
                    untold[question] = "not probed, as others took too long: verify it alone"
                    continue
                try:
                    told[question] = _first_that_passes(copy, ways, question, links)
                except NoFlow as error:
                    untold[question] = str(error)
        return Probed(told, untold, missing)

    # -- putting it together ---------------------------------------------------------------------

    def _evident(
        self, target: Target, seen: Seen, question: Question, state: State, probed: "Probed"
    ) -> Evidence:
        told = probed.told.get(question)
        if told is None:
            return self._by_state(target, seen, question, state, probed.untold.get(question, ""))
        missing = (*probed.missing, *(f"for other packets: {each}" for each in state.doubts))
        doubts = state.doubts if told.result is Result.FAILED else []
        return self._evidence(
            target,
            question,
            told.result,
            "; ".join((told.words, *doubts)),
            proof=Proof.PARTIAL if missing else Proof.PROBE,
            missing=missing,
            found_in=seen.circumstances,
        )

    def _by_state(
        self, target: Target, seen: Seen, question: Question, state: State, untold: str
    ) -> Evidence:
        wrong = state.failures + state.doubts
        return self._evidence(
            target,
            question,
            Result.FAILED if wrong else Result.PROVEN,
            "; ".join(wrong) or state.soundness,
            missing=(untold,) if untold else (),
            found_in=seen.circumstances,
        )

    def _evidence(
        self,
        target: Target,
        question: Question,
        result: Result,
        words: str,
        *,
        proof: Proof = Proof.STATE,
        missing: tuple[str, ...] = (),
        found_in: Circumstances = _NOWHERE,
    ) -> Evidence:
        return Evidence(
            question.key,
            question.family,
            question.destinations,
            result,
            proof,
            words[:_MOST_WORDS],
            missing[:_MOST_MISSING],
            self.now(),
            platform.release(),
            found_in,
        )


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of all probes: *told* by them, *untold* and why; the copy lacks *missing*."""

    told: Mapping[Question, probe.Seen] = field(default_factory=dict)
    untold: Mapping[Question, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def _first_that_passes(
    copy: Copy, ways: Sequence[Sides | None], question: Question, links: list[Link]
) -> probe.Seen:
    """Send the probe by each of *ways* in turn, until it comes through.

    Raises: NoFlow, as for the first.
    """
    stopped: list[NoFlow] = []
    for way in ways:
        try:
            return probe.probe(copy, way, question, links)
        except NoFlow as error:
            stopped.append(error)
    raise stopped[0]


def _sides(
    plan: Map, wanted: list[Question]
) -> tuple[dict[Question, Sequence[Sides | None]], dict[Question, str]]:
    """Choose the ways of each probe; say of which there is none, and why."""
    chosen: dict[Question, Sequence[Sides | None]] = {}
    untold: dict[Question, str] = {}
    # The router is asked for routes once for all questions that are alike.
    ways = cache(plan.ways)
    for question in wanted:
        helper = question.key.helper
        if helper not in FLOWS:
            untold[question] = f"there is no probe for helper {helper}"
        elif helper in OWN_SOCKETS:
            chosen[question] = (None,)
        else:
            try:
                chosen[question] = ways(question.family, question.destinations)
            except NoWay as error:
                untold[question] = f"no probe could be sent: {error}"
    return chosen, untold
