"""Documents to measure with: deterministic, and no two routers alike."""

import random
from collections.abc import Sequence
from typing import Final

from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.catalog import HELPERS
from ctherd.model.document import Document, NetnsName, document

_PAIRS: Final = [(helper.name, protocol) for helper in HELPERS for protocol in helper.protocols]


def assignments(router: int, count: int) -> list[Assignment]:
    """Return *count* assignments, with a mix of helpers and ports that only *router* has."""
    chance = random.Random(router)
    ports = chance.sample(range(1, 65536), count)
    mix = chance.sample(_PAIRS, len(_PAIRS))
    made = []
    for index, port in enumerate(ports):
        helper, protocol = mix[index % len(mix)]
        made.append(Assignment(AssignmentId(f"{protocol}/{port}"), helper, protocol, port))
    return made


def documents(names: Sequence[NetnsName], count: int) -> list[Document]:
    """Return a document of *count* assignments for each netns."""
    return [
        document(f"router-{index}", name, assignments(index, count))
        for index, name in enumerate(names)
    ]
