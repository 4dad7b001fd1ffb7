"""The program of one life of an agent: ``python -m bench.l3_agent EXTENSION DIRECTORY STEP…``.

Writes to ``DIRECTORY/laps.json`` how many seconds each step took, and how many processes.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Final

LAPS: Final = "laps.json"
HELPERS: Final = 10
"""Of each router, and of one notification."""

if __name__ == "__main__":
    # Neutron's iptables manager takes the names of its chains from this when it is imported.
    sys.argv[0] = "neutron-l3-agent"
    from bench.neutron_life import live

    extension, directory, *steps = sys.argv[1:]
    try:
        laps = live(extension, Path(directory), steps)
        Path(directory, LAPS).write_text(json.dumps(laps), encoding="ascii")
    except Exception:  # noqa: BLE001 – an agent has threads that would not let it end
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
