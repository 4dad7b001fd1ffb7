"""`ctherd lab`: proves helpers on this very kernel, and shows the evidence as a table or JSON."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ctherd.cli.options import DATAPLANES, configured, output

if TYPE_CHECKING:
    from ctherd.lab.case import Case
    from ctherd.lab.evidence import Evidence
    from ctherd.lab.result import CaseResult, PhaseResult

_COLOURS = {"proven": "green", "not proven": "red", "skipped": "yellow"}


@click.command()
@click.argument("helpers", nargs=-1, metavar="[HELPER]...")
@click.option(
    "--dataplane",
    type=click.Choice([*DATAPLANES, "iptables", "both"]),
    help="What assigns (default: as configured).",
)
@click.option("--list", "listing", is_flag=True, help="List the exchanges, and run none.")
@output
def lab(helpers: tuple[str, ...], dataplane: str | None, listing: bool, output: str) -> int:
    """Prove helpers by real exchanges, in namespaces of their own.

    Each one is tried with the helper off, on, and revoked. Exits with 0 only if all are proven.
    """
    from ctherd.cli import render
    from ctherd.lab.catalog import chosen

    cases = chosen(helpers)
    if listing:
        _list(cases, output)
        return 0
    evidence = _proven(cases, dataplane)
    if output == "json":
        render.as_json(evidence.as_data())
    else:
        _show(evidence)
    return 0 if evidence.complete else 1


def _proven(cases: "Sequence[Case]", dataplane: str | None) -> "Evidence":
    from ctherd.cli.progress import progress
    from ctherd.lab.evidence import Evidence
    from ctherd.lab.side_by_side import prove_all
    from ctherd.main.lab import dataplanes, hire

    names = dataplanes(dataplane, configured())
    total = len(cases) * len(names)
    done = 0
    with progress("proving", after_s=0.0) as shown:

        def tell(_: "CaseResult") -> None:
            nonlocal done
            done += 1
            shown.tell(done, total, "exchanges")

        since_s = time.monotonic()
        results = prove_all(cases, names, hire, tell)
        return Evidence(results, time.monotonic() - since_s)


def _list(cases: "Sequence[Case]", output: str) -> None:
    from ctherd.cli import render

    if output == "json":
        render.as_json([each.as_data() for each in cases])
        return
    render.table(
        ("helper", "exchange", "control", "software", "to install"),
        [
            (
                each.helper,
                each.name,
                f"{each.l4}/{each.port}",
                each.software,
                " ".join(program.package for program in each.missing()),
            )
            for each in cases
        ],
    )


def _show(evidence: "Evidence") -> None:
    from ctherd.cli import render

    render.table(
        ("exchange", "dataplane", "off", "on", "revoked", "software", ""),
        [_row(each) for each in evidence.results],
    )
    for each in evidence.results:
        if each.why:
            label = click.style(each.verdict.value, fg=_COLOURS[each.verdict])
            click.echo(f"{label}: {each.case}, {each.dataplane}: {each.why}")
    counted = ", ".join(f"{count} {verdict}" for verdict, count in evidence.counts.items() if count)
    click.echo(f"{counted} on Linux {evidence.kernel}, in {evidence.took_s:.1f} s")


def _row(result: "CaseResult") -> tuple[str, ...]:
    from ctherd.lab.result import Phase

    seen = {each.phase: _cell(each) for each in result.phases}
    colour = _COLOURS[result.verdict]
    software = result.case.software
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return (
        result.case.name,
        result.dataplane,
        *(seen.get(phase, "–") for phase in Phase),
        f"{software} ({versions})" if versions else software,
        f"[{colour}]{result.verdict.value}[/]",
    )


def _cell(phase: "PhaseResult") -> str:
    control = "" if phase.alive else ", control dead"
    if not phase.worked:
        return f"fails{control}"
    return f"works, {phase.took_ms:.1f} ms{control}"
