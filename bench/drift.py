"""How long a foreign change lives where the kernel does not guard our table (own_table = false).

A real agent runs as a process of its own, over N namespaces. One after the other, somebody else
deletes our table, or (in every other one) a single element of our map, on a socket of his own; and
listens there for the kernel's announcement of the next commit. Timed is what lies between the
kernel's acknowledgement of the deletion and the arrival of that announcement: the agent has heard
of the change, read the table, made a plan, and committed. Afterwards, untimed, the table is read
and compared with what was declared: a commit that did not repair counts as a failure, not as a
sample. Pauses between changes are random, so that nothing falls into step with the agent.

It does not say how long a storm of changes in all namespaces at once takes to be repaired.
"""

import random
import time
from statistics import median
from typing import Final

from bench import agent, commits, herd
from bench.namespaces import crowd
from bench.row import Row
from bench.size import Size
from bench.timing import percentile
from bench.world import World, opened
from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.observe import read_contents, read_table
from ctherd.errors import CtherdError, DataplaneError
from ctherd.model.document import Document
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import Request
from ctherd.process import Child

_PAUSE_S: Final = 0.01


class NotRepaired(CtherdError):
    """The agent left a foreign change as it was, or repaired it wrongly."""

    code = "not-repaired"


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    with crowd(size.drift_routers) as (path, names), opened(path, names) as world:
        documents = herd.documents(names, size.assignments)
        with agent.running(path, documents, own_table=False) as child:
            wait_until_true(world, documents, child)
            repairs = [
                _repaired_s(world, document, child, whole_table=bool(number % 2))
                for number, document in enumerate(documents)
            ]
    what = f"foreign change → repaired, {size.drift_routers} namespaces"
    return [
        Row(f"{what}: p50", median(repairs) * 1e3, "ms", 3),
        Row(f"{what}: p99", percentile(repairs, 99) * 1e3, "ms", 20),
        Row(f"{what}: p50, the table deleted", median(repairs[1::2]) * 1e3, "ms"),
        Row(f"{what}: p50, an element deleted", median(repairs[::2]) * 1e3, "ms"),
    ]


def as_declared(dialogue: Dialogue, document: Document) -> bool:
    """Tell whether our table is whole and holds exactly what *document* says."""
    table = read_table(dialogue)
    if table is None:
        return False
    contents = read_contents(dialogue, table)
    return not contents.damage and contents.live == document.desired


def wait_until_true(world: World, documents: list[Document], child: Child) -> None:
    deadline_s = time.monotonic() + 60
    for document in documents:
        while not as_declared(_dialogue(world, document), document):
            agent.still_runs(child)
            if time.monotonic() > deadline_s:
                raise NotRepaired("the agent does not program it", where=document.netns)
            time.sleep(0.01)
    agent.wait_idle(child)


def _dialogue(world: World, document: Document) -> Dialogue:
    return Dialogue(world.sockets[document.netns].transport, document.netns)


def _repaired_s(world: World, document: Document, child: Child, *, whole_table: bool) -> float:
    time.sleep(random.uniform(0, _PAUSE_S))
    dialogue = _dialogue(world, document)
    requests = [nft.del_table(layout.TABLE)] if whole_table else _one_element_less(document)
    with commits.heard(world.directory, document.netns) as announced:
        if errors := dialogue.commit(requests, None):
            raise DataplaneError("drift", netns=document.netns, errno=errors[0].errno)
        started_s = time.perf_counter()
        # The deletion announces itself first; it is in the queue already.
        announced.next_s()
        taken_s = announced.next_s() - started_s
    agent.still_runs(child)
    if not as_declared(dialogue, document):
        raise NotRepaired("a commit came, but it is not as declared", where=document.netns)
    return taken_s


def _one_element_less(document: Document) -> list[Request]:
    key, destinations = random.choice(list(document.desired.items()))
    elements = layout.elements(key, destinations)
    return nft.del_elements(layout.TABLE, layout.ANY_MAP.name, [each for _, each in elements])
