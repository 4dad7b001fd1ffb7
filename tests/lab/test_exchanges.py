"""Every case of the lab is proven on this kernel, with both dataplanes."""

from threading import Event

import pytest

from ctherd.lab.case import Case
from ctherd.lab.catalog import CASES
from ctherd.lab.proof import prove
from ctherd.lab.result import Verdict
from ctherd.main.lab import hire

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.mark.parametrize("dataplane", ["nftables", "iptables-nft"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_is_proven(case: Case, dataplane: str) -> None:
    """It fails without the helper, works with it, and fails in the same session once revoked."""
    result = prove(case, dataplane, hire, Event())
    if result.verdict is Verdict.SKIPPED:
        pytest.skip(result.why)
    assert result.verdict is Verdict.PROVEN, result.why
