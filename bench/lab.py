"""How long ``ctherd lab`` takes for all helpers, and that it proves them.

The command as a user runs it, a process of its own, once with the dataplane nftables and once with
both, over all exchanges. Each of them builds three namespaces, starts its servers, is tried three
times, and waits a second wherever nothing may arrive. What is not installed would cost nothing, so
an exchange that is not proven is no result but a failure.

It does not say how long one exchange takes: eight are under way at a time.
"""

import json

from bench.row import Row
from bench.size import Size
from ctherd import process
from ctherd.lab.namespace import python

_BOUND_S = 60
_AT_MOST_S = 300.0


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    rows: list[Row] = []
    for dataplane in ("nftables", "both"):
        command = python("ctherd", "lab", *size.lab_helpers, "--dataplane", dataplane, "-o", "json")
        ended = process.run(command, timeout_s=_AT_MOST_S, check=False)
        answer = json.loads(ended.stdout)
        if unproven := [each for each in answer["cases"] if each["verdict"] != "proven"]:
            raise AssertionError([f"{each['case']}: {each['why']}" for each in unproven])
        rows += [
            Row(f"all helpers, {dataplane}", ended.duration_s, "s", _BOUND_S),
            Row(f"all helpers, {dataplane}: exchanges proven", len(answer["cases"]), ""),
        ]
    return rows
