"""Measure the figures: ``python -m bench [NAME…]``, with options that ``--help`` lists.

Without names everything is measured, drawn, and written to ``docs/``. Exits with 1 if a bound is
missed or a figure could not be measured.
"""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench import figures, plot, report
from bench.namespaces import end_by_exception
from bench.row import Row
from bench.size import FULL, QUICK, Size

_DOCS: Final = Path(__file__).parents[1] / "docs"
_PLOT: Final = Path("figures", "cost.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parse(arguments)
    if os.geteuid() != 0:
        sys.stderr.write("bench: needs root, for network namespaces\n")
        return 1
    end_by_exception()
    size = QUICK if options.quick else FULL
    output: Path | None = options.output
    measured, failed = _measure(options.names or list(figures.FIGURES), size)
    if options.json:
        options.json.write_text(_as_json(measured), encoding="utf-8")
    if options.plot:
        plot.draw(size, (output.parent if output else Path()) / _PLOT)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        picture = str(_PLOT) if options.plot else None
        output.write_text(report.page(measured, picture), encoding="utf-8")
    return _verdict(measured, failed)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(figures.FIGURES))
    parser.add_argument("--quick", action="store_true", help="small sizes: only to see it work")
    parser.add_argument("--plot", action="store_true", help="draw cost against N and H")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the page there")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in figures.FIGURES]:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(figures.FIGURES)}")
    if not options.names and not options.quick and not options.output:
        options.output, options.plot = _DOCS / "figures.md", True
    return options


def _measure(names: Sequence[str], size: Size) -> tuple[dict[str, list[Row]], list[str]]:
    measured: dict[str, list[Row]] = {}
    failed: list[str] = []
    for name in names:
        print(f"-- {name}", flush=True)
        try:
            measured[name] = figures.measure(name, size)
        except Exception:  # noqa: BLE001 – the others are still worth having
            traceback.print_exc()
            failed.append(name)
        else:
            print(report.table(measured[name]), flush=True)
    return measured, failed


def _as_json(measured: Mapping[str, Sequence[Row]]) -> str:
    rows = {name: [asdict(row) | {"ok": row.ok} for row in rows] for name, rows in measured.items()}
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def _verdict(measured: Mapping[str, Sequence[Row]], failed: Sequence[str]) -> int:
    missed = [row for rows in measured.values() for row in rows if not row.ok]
    if missed:
        print(f"\nmissed:\n{report.table(missed)}")
    if failed:
        print(f"\nnot measured: {', '.join(failed)}")
    return 1 if missed or failed else 0


if __name__ == "__main__":
    sys.exit(main())
