"""Every case of the lab is proven on this kernel, whatever assigns the helper."""

import pytest

from ctherd.lab.case import Case
from ctherd.lab.catalog import CASES
from ctherd.lab.result import CaseResult, Verdict
from ctherd.lab.side_by_side import prove_all
from ctherd.main.lab import hire
from ctherd.model.catalog import HELPERS

DATAPLANES = ("nftables", "iptables-nft", "iptables-legacy")


@pytest.fixture(scope="module")
def results() -> dict[tuple[str, str], CaseResult]:
    """What came of every case with every dataplane, side by side as `ctherd lab` has them."""
    proven = prove_all(CASES, DATAPLANES, hire, lambda _: None)
    return {(each.case.name, each.dataplane): each for each in proven}


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("dataplane", DATAPLANES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_is_proven(
    results: dict[tuple[str, str], CaseResult], case: Case, dataplane: str
) -> None:
    """It fails without the helper, works with it, and fails in the same session once revoked."""
    result = results[case.name, dataplane]
    if result.verdict is Verdict.SKIPPED:
        pytest.skip(result.why)
    assert result.verdict is Verdict.PROVEN, result.why


def test_every_helper_has_a_case_for_each_protocol_and_family() -> None:
    """Nothing that the catalog promises is left without proof."""
    promised = {
        (helper.name, protocol, family)
        for helper in HELPERS
        for protocol in helper.protocols
        for family in helper.families
    }
    assert {(each.helper, each.l4, each.family) for each in CASES} == promised


def test_no_two_cases_have_the_same_name() -> None:
    """A result is found by the name of its case."""
    names = [each.name for each in CASES]
    assert len(set(names)) == len(names)
