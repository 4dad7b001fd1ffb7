"""The program of one life of an agent: ``python -m bench.l3_agent EXTENSION DIRECTORY STEP…``.

Writes to ``DIRECTORY/laps.json`` how many seconds each step took, and how many processes.
"""

import json
import sys
from pathlib import Path
from typing import Final

LAPS: Final = "laps.json"

if __name__ == "__main__":
    # Neutron's iptables manager takes the names of its chains from this when it is imported.
    sys.argv[0] = "neutron-l3-agent"
    from bench.neutron_life import live

    extension, directory, *steps = sys.argv[1:]
    laps = live(extension, Path(directory), steps)
    Path(directory, LAPS).write_text(json.dumps(laps), encoding="ascii")
