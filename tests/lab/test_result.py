"""The truth table: one thing that is not as it must be, and the case is not proven."""

from dataclasses import replace
from typing import Any

import pytest

from ctherd.lab.result import CaseResult, Phase, PhaseResult, Verdict
from tests.lab.cases import PASSIVE

FAILED: dict[str, Any] = {"worked": False, "flows": 0, "announced": 0, "expected": 0}
WORKED: dict[str, Any] = {"worked": True, "flows": 1, "announced": 1, "expected": 0}
PAID = {"flows": 1, "left": 0, "done": True, "why": ""}


def phase(name: Phase, **seen: Any) -> PhaseResult:
    return PhaseResult(name, words="", took_ms=1.0, **{"alive": True, **seen})


def result(**overrides: Any) -> CaseResult:
    phases = (phase(Phase.OFF, **FAILED), phase(Phase.ON, **WORKED), phase(Phase.REVOKED, **FAILED))
    return replace(CaseResult(PASSIVE, "nftables", phases=phases, revoked=(PAID,)), **overrides)


def test_all_as_it_must_be_is_proven() -> None:
    """The table's own values prove a case; what is expected still while it works does no harm."""
    assert result().verdict is Verdict.PROVEN
    off, on, revoked = result().phases
    assert result(phases=(off, replace(on, expected=1), revoked)).verdict is Verdict.PROVEN


def turned(right: Any) -> Any:
    """Return what is wrong where *right* is right: the other truth value, some for none."""
    return type(right)(not right)


@pytest.mark.parametrize("at", range(3), ids=list(Phase))
@pytest.mark.parametrize("field", ["worked", "alive", "flows", "announced"])
def test_one_thing_wrong_in_one_phase_is_not_proven(at: int, field: str) -> None:
    """Each of them alone takes the verdict, and is told with its phase."""
    phases = list(result().phases)
    wrong: Any = {field: turned(getattr(phases[at], field))}
    phases[at] = replace(phases[at], **wrong)
    told = result(phases=tuple(phases))
    assert told.verdict is Verdict.NOT_PROVEN
    assert told.why.startswith(f"{phases[at].phase}: ")


@pytest.mark.parametrize("at", [0, 2])
def test_an_expectation_that_is_left_is_not_proven(at: int) -> None:
    """Neither before a helper is assigned nor after it is revoked may it expect anything."""
    phases = list(result().phases)
    phases[at] = replace(phases[at], expected=1)
    assert result(phases=tuple(phases)).verdict is Verdict.NOT_PROVEN


def test_a_helper_that_only_rewrites_must_expect_nothing() -> None:
    """Where a case says so, an expectation is wrong, and none is right."""
    rewriting = replace(PASSIVE, expects=False)
    off, on, revoked = result().phases
    quiet = (off, replace(on, announced=0), revoked)
    assert result(case=rewriting).verdict is Verdict.NOT_PROVEN
    assert result(case=rewriting, phases=quiet).verdict is Verdict.PROVEN


@pytest.mark.parametrize(("handed_on", "proven"), [(0, False), (1, True), (2, False)])
def test_what_was_handed_on_is_left_and_said(handed_on: int, proven: bool) -> None:
    """As many flows as bear a handed-on helper may be left, and ctherd has to say so."""
    off, on, revoked = result().phases
    told = result(
        phases=(off, on, replace(revoked, handed_on=handed_on)),
        revoked=({**PAID, "left": 1, "why": "it was expected itself"},),
    )
    assert (told.verdict is Verdict.PROVEN) is proven


@pytest.mark.parametrize(
    "overrides",
    [
        {"phases": ()},
        {"phases": result().phases[:2]},
        {"revoked": ()},
        {"revoked": ({**PAID, "flows": 0},)},
        {"revoked": (PAID, {**PAID, "left": 1, "why": "a rule of somebody else"})},
        {"revoked": ({**PAID, "done": False},)},
        {"error": "vsftpd did not start"},
    ],
    ids=str,
)
def test_half_a_result_is_not_proven(overrides: dict[str, Any]) -> None:
    """Phases that were not seen, and a revocation that was not paid, are not taken for proof."""
    assert result(**overrides).verdict is Verdict.NOT_PROVEN
