"""How long ``ctherd --help`` takes, from starting the process to its end.

The installed command, or ``python -m ctherd`` where there is none; byte code is compiled by a first
run that does not count, as it is after installing. Median of ten runs. If this fails,
``python -X importtime -m ctherd --help`` tells which import is slow.

It does not say what the very first run after installing takes, from a cold disk.
"""

import sys
from pathlib import Path
from statistics import median

from bench.row import Row
from bench.size import Size
from ctherd import process
from ctherd.lab.namespace import python


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    installed = Path(sys.executable).with_name("ctherd")
    argv = [str(installed), "--help"] if installed.exists() else python("ctherd", "--help")
    runs = [process.run(argv).duration_s for _ in range(size.help_runs + 1)]
    return [Row("ctherd --help", median(runs[1:]), "s", 0.2)]
