"""Rows for people: a table for the terminal, and the page that ``docs/`` keeps."""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import figures
from bench.row import Row

_INTRODUCTION = """\
# Figures

What ctherd costs, measured by `make bench` on the real kernel, in fresh network namespaces. Nothing
here is typed by hand: `python -m bench` writes this page, and ends with an error if a bound is
missed. Take your own figures where it matters: ratios carry over to other machines much better than
times do.
"""

_CONDITIONS = """\
## How to read it

Ratios are taken within one run, with both sides in turns, and are medians of the ratios of
neighbours, so that what slows the machine down for a while slows both down. Times are medians,
unless they are named percentiles. First rounds only warm up: they fill caches of the kernel's
allocator and of the interpreter, which a long-running agent has full as well. Python's garbage is
collected before each timed section, and its collector stays switched on meanwhile, as it is in the
agent. A measured number without a bound is told for context.
"""


def table(rows: Sequence[Row]) -> str:
    """Return *rows* as an aligned table."""
    width = max(len(row.name) for row in rows)
    return "\n".join(
        f"{row.name:<{width}}  {_measured(row):>12}  {_bound(row):>12}  {_word(row)}".rstrip()
        for row in rows
    )


def spelled(number: float, unit: str) -> str:
    """Return *number* with three significant digits and its unit; a count has none."""
    digits = 0 if number >= 100 else 1 if number >= 10 else 2 if number >= 1 else 3
    return f"{number:.{digits}f} {unit}" if unit else f"{number:.0f}"


def page(measured: Mapping[str, Sequence[Row]], plot: str | None) -> str:
    """Return the page for the documentation; *plot* is where its picture lies, seen from it."""
    parts = [_INTRODUCTION, f"Measured on {machine()}.\n", _promises(measured)]
    if plot is not None:
        parts.append(f"![Cost against the number of routers and of assignments]({plot})\n")
    parts.append(_CONDITIONS)
    for name, rows in measured.items():
        parts.append(f"## {name}\n\n{figures.method(name)}\n\n{_all_of(rows)}")
    return "\n".join(parts)


def machine() -> str:
    """Describe this machine in a few words."""
    return (
        f"{os.cpu_count()} processors ({_processor()}), Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _promises(measured: Mapping[str, Sequence[Row]]) -> str:
    """Return what has a bound, with links to all the rest."""
    lines = ["| figure | what | measured | bound |  |", "|---|---|---:|---:|---|"]
    lines += [
        f"| [`{name}`](#{name}) | {row.name} | {_measured(row)} | {_bound(row)} | {_word(row)} |"
        for name, rows in measured.items()
        for row in rows
        if row.bound is not None
    ]
    return "\n".join(lines) + "\n"


def _all_of(rows: Sequence[Row]) -> str:
    lines = ["| what | measured | bound |", "|---|---:|---:|"]
    lines += [f"| {row.name} | {_measured(row)} | {_bound(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _measured(row: Row) -> str:
    return spelled(row.measured, row.unit)


def _bound(row: Row) -> str:
    if row.bound is None:
        return ""
    return f"{'≥' if row.at_least else '≤'} {spelled(row.bound, row.unit)}"


def _word(row: Row) -> str:
    if row.bound is None:
        return ""
    return "ok" if row.ok else "**missed**"
