"""A new table as one ready-made batch: what a router costs where nothing is in the way.

Nothing here is encoded twice. What differs between routers (mark, ports, the choice of objects) is
put into the gaps of messages that ``render`` would send as well. They all bear one sequence number,
so no error can be traced to an assignment. There is no need to: a batch that is refused has done
nothing, and ``render`` then makes one that can be asked what was wrong.
"""

from collections.abc import Set
from functools import cache
from typing import Final, NamedTuple

from ctherd.dataplane.nftables import layout, render
from ctherd.dataplane.nftables.render import HelperOn
from ctherd.model.observation import Live
from ctherd.model.safe_scope import WIDE
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.nf_tables import Request, TableFlag

SEQUENCE: Final = 1
"""The sequence number of every message, the one that asks for acknowledgement among them."""


class _Frame(NamedTuple):
    """What surrounds objects and elements in the batch of any router.

    Shape: the mark belongs between *table* and *chains*.
    """

    table: bytes
    chains: bytes
    maps: bytes
    rules: bytes


class Batch(NamedTuple):
    """A batch, and the helpers that it makes objects of."""

    encoded: bytes
    made: Set[HelperOn]


def batch(target: Live, tag: str, flags: TableFlag, generation: int) -> Batch | None:
    """Return the batch that makes the whole table for *target*.

    Shape: None where there is nothing to make, or where destinations need maps of their own.
    """
    if not target or any(target.values()):
        return None
    objects: dict[HelperOn, bytes] = {}
    elements = []
    for protocol, port, helper in target:
        on = helper, protocol
        objects[on], before, after = _pieces(on)
        elements.append(before + port.to_bytes(2, "big") + after)
    inserted = nft.new_encoded_elements(layout.TABLE, layout.ANY_MAP.name, elements)
    mark = layout.mark(tag).encode()
    frame = _frame(flags, len(mark))
    messages = (
        frame.table + mark + frame.chains,
        *objects.values(),
        frame.maps,
        *map(_message, inserted),
        frame.rules,
    )
    return Batch(nft.enveloped(messages, generation), objects.keys())


@cache
def _pieces(on: HelperOn) -> tuple[bytes, bytes, bytes]:
    """Return the message that makes the object, and what surrounds the port in its elements."""
    return (_message(render.helper_object(*on)), *layout.around_port(*on))


@cache
def _frame(flags: TableFlag, mark_length: int) -> _Frame:
    blank = "?" * mark_length
    table = _message(nft.new_table(layout.TABLE, flags, blank, exclusive=True))
    before, _, after = table.rpartition(blank.encode())
    *rules, last = render.rules((layout.ANY_MAP,), WIDE, frozenset())
    return _Frame(
        before,
        after + b"".join(_message(step.request) for step in render.chains(layout.CHAINS)),
        b"".join(_message(step.request) for step in render.maps((layout.ANY_MAP,))),
        b"".join(_message(step.request) for step in rules)
        + nft.message(last.request, SEQUENCE, acknowledge=True),
    )


def _message(request: Request) -> bytes:
    return nft.message(request, SEQUENCE, acknowledge=False)
