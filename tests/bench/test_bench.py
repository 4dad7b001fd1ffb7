"""The benchmarks work: each figure that needs nothing but the kernel measures something, tiny."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import figures, herd, report
from bench.namespaces import PREFIX
from bench.row import Row
from bench.size import QUICK
from bench.versus_nft import ruleset
from ctherd.model.document import NetnsName

TINY = replace(
    QUICK, routers=2, assignments=3, many=5, rounds=1, sweeps=2, adds=2, nft_routers=1,
    iptables_routers=1, iptables_rounds=1,
    hostile_adds=3, slices=2, packets=50, tracked=120, neutron_routers=2, neutron_rounds=1,
)  # fmt: skip
IN_PROCESS = (
    "reconcile_empty",
    "reconcile_unchanged",
    "add_one",
    "versus_nft",
    "iptables",
    "hostile_writer",
    "packets",
    "narrowing",
    "revocation",
    "lab",
)


@pytest.mark.root
@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_figure_measures_and_leaves_nothing(name: str) -> None:
    rows = figures.measure(name, TINY)
    assert rows and all(row.measured > 0 for row in rows)
    assert _leftovers() == []


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_beside_neutrons_own_extension_ours_starts_no_process() -> None:
    rows = {row.name: row.measured for row in figures.measure("versus_neutron", TINY)}
    assert rows["2 × 10, from empty: in-tree, processes"] > 0, "the counting does not work"
    assert rows["processes started by ctherd, in any step"] == 0
    assert _leftovers() == []


def _leftovers() -> list[Path]:
    """What this process has made and not removed; others measure as well."""
    places = (Path("/run"), Path("/run/netns"), Path("/var/tmp"))
    return [path for place in places for path in place.glob(f"{PREFIX}*")]


def test_no_two_routers_are_alike() -> None:
    documents = herd.documents([NetnsName(f"n{index}") for index in range(200)], 10)
    assert len({tuple(sorted(each.desired)) for each in documents}) == len(documents)


def test_a_ruleset_for_nft_holds_every_assignment_twice() -> None:
    (document,) = herd.documents([NetnsName("n")], 10)
    assert ruleset(document).count("ct helper set") == 20


@pytest.mark.parametrize(
    ("row", "ok"),
    [
        (Row("told", 7, "µs"), True),
        (Row("met", 5, "×", 5), True),
        (Row("missed", 5.1, "×", 5), False),
        (Row("met", 50, "×", 50, at_least=True), True),
        (Row("missed", 49, "×", 50, at_least=True), False),
    ],
)
def test_a_bound_is_met_or_missed(row: Row, ok: bool) -> None:
    assert row.ok is ok
    assert ("missed" in report.table([row]).rpartition("  ")[2]) is not ok


def test_the_page_tells_how_each_figure_is_measured() -> None:
    page = report.page({"add_one": [Row("added", 1.5, "×", 2)]}, None)
    assert "1.50 ×" in page and "≤ 2.00 ×" in page
    assert "It does not say" in page


@pytest.mark.parametrize("name", figures.FIGURES)
def test_every_figure_says_what_it_does_not_say(name: str) -> None:
    assert "does not say" in figures.method(name)
