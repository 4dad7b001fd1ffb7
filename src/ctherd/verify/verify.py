"""Verification of one router: the state of its kernel, then a flow through a copy of it."""

import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from ctherd.errors import CtherdError
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Family
from ctherd.model.evidence import Circumstances, Evidence, Proof, Result
from ctherd.netns.directory import NetnsDirectory
from ctherd.verify.look import Seen, look
from ctherd.verify.state import Check, NatMissing, State, judge
from ctherd.verify.target import Target

_NOWHERE = Circumstances("", 0, 0, "")
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
        with ExitStack() as stack:
            return list(self._answers(target, seen, stack))

    def _answers(self, target: Target, seen: Seen, stack: ExitStack) -> Iterator[Finding]:
        for key, family in target.questions():
            state = judge(seen, target, key, family, self.nat_missing)
            yield Finding(self._by_state(target, (key, family), seen, state), state.checks)

    def _by_state(
        self, target: Target, question: tuple[AssignmentKey, Family], seen: Seen, state: State
    ) -> Evidence:
        wrong = state.failures + state.doubts
        result = Result.FAILED if wrong else Result.PROVEN
        words = "; ".join(wrong) or state.soundness
        return self._evidence(target, question, result, words, found_in=seen.circumstances)

    def _evidence(
        self,
        target: Target,
        question: tuple[AssignmentKey, Family],
        result: Result,
        words: str,
        *,
        proof: Proof = Proof.STATE,
        missing: tuple[str, ...] = (),
        found_in: Circumstances = _NOWHERE,
    ) -> Evidence:
        key, family = question
        return Evidence(
            key,
            family,
            target.assignments[key],
            result,
            proof,
            words[:_MOST_WORDS],
            missing[:_MOST_MISSING],
            self.now(),
            platform.release(),
            found_in,
        )
