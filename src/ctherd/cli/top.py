"""`ctherd top`: how this host's routers fare, live."""

import shutil
import sys
from pathlib import Path

import click

from ctherd.cli.options import common, configured, herd_file, output


@click.command()
@herd_file
@output
@click.option("--once", is_flag=True, help="Print one frame and end; so does -o json.")
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 60),
    default=1.0,
    help="Seconds between two counts of flows (default: 1). Events are shown at once.",
)
@common
def top(file: Path | None, output: str, once: bool, interval: float) -> int:
    """Watch routers, helpers, flows, expectations, drift and repairs live.

    Keys: q quit, arrows or j/k choose, s sort, f filter, h help. Without an agent the kernel is
    read every two seconds.
    """
    import asyncio
    from datetime import UTC, datetime

    from ctherd.main.top import HostSource

    once = once or output == "json"
    if not once and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("this is no terminal; --once prints one frame")
    source = HostSource(configured(file=file), interval, complete=once)
    if not once:
        from ctherd.top.screen import Screen

        return asyncio.run(Screen(source, sys.stdin, sys.stdout).run())
    frame = asyncio.run(source.next(()))
    if output == "json":
        from ctherd.cli import render
        from ctherd.top.frame import frame_as_data

        render.as_json(frame_as_data(frame))
        return 0
    from rich.console import Console

    from ctherd.top.draw import draw_once

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    now = datetime.now(UTC)
    Console(highlight=False, width=width).print(draw_once(frame, width, now))
    return 0
