"""The curves as a picture. Needs matplotlib, the extra ``bench``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.curves import Curve, against_assignments, against_routers
from bench.size import Size


def draw(size: Size, path: Path) -> None:
    """Measure the curves and write them to *path* as a PNG."""
    # Not at the top: everything else works without it.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), dpi=90, layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, against_routers(size), "routers N", "µs per router")
    left.set_title(f"N routers with {size.assignments} assignments each")
    _panel(right, against_assignments(size), "assignments H", "µs")
    right.set_title("One router with H assignments")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _panel(axes: Any, curves: Sequence[Curve], across: str, up: str) -> None:
    for curve in curves:
        dashes = "--" if curve.label.startswith("floor") else "-"
        axes.plot(curve.counts, curve.costs_us, dashes, marker="o", markersize=3, label=curve.label)
    axes.set(xscale="log", yscale="log", xlabel=across, ylabel=up)
    axes.grid(visible=True, which="major", alpha=0.4)
    axes.legend(fontsize="small")
