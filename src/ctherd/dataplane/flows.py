"""The flows of one netns, as a revocation sees them: found by a filter in the kernel, and changed.

Whatever the filter lets pass is looked at again: kernels that do not know it send every flow.
"""

import errno
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from ctherd.errors import DataplaneError
from ctherd.model.assignment import families_of
from ctherd.model.catalog import Family
from ctherd.model.debt import Debt
from ctherd.netlink import ctnetlink
from ctherd.netlink.ctnetlink import Flow
from ctherd.netlink.dialogue import Dialogue, Order, Question

_FAMILIES: Final = {Family.IPV4: 2, Family.IPV6: 10}
_EXPECTATIONS: Final = Question(
    ctnetlink.GET_EXPECTATIONS, ctnetlink.ALL_FAMILIES, b"", "list expectations"
)


def with_helper(dialogue: Dialogue, debts: Sequence[Debt]) -> Iterator[Flow]:
    """Yield the flows that have a helper now, and may be those of *debts*.

    One scan, however many debts: what they have in common is left to the kernel to compare.
    """
    body = ctnetlink.assigned_a_helper()
    places = {(each.key.protocol.number, each.key.port) for each in debts}
    families = _families(debts)
    if len(families) == len(places) == 1:
        ((protocol, port),) = places
        body += ctnetlink.addressed_to(protocol, port)
    family = families.pop() if len(families) == 1 else ctnetlink.ALL_FAMILIES
    return (each for each in _flows(dialogue, family, body) if each.helper)


def without_helper(dialogue: Dialogue, debts: Sequence[Debt]) -> Iterator[Flow]:
    """Yield the flows without a helper that go where *debts* say; a scan for each such place."""
    places = {
        (family, each.key.protocol.number, each.key.port)
        for each in debts
        for family in _families([each])
    }
    for family, protocol, port in sorted(places):
        for found in _flows(dialogue, family, ctnetlink.addressed_to(protocol, port)):
            if not found.helper:
                yield found


def expected(dialogue: Dialogue) -> Iterator[Flow]:
    """Yield the flows that a helper expected, and that are open now."""
    body = ctnetlink.was_expected()
    found = _flows(dialogue, ctnetlink.ALL_FAMILIES, body)
    return (each for each in found if each.master is not None)


def expectations(dialogue: Dialogue) -> Mapping[tuple[bytes, bytes], int]:
    """Count the expectations of each flow, by its addresses and ports."""
    return Counter(map(ctnetlink.master_of_expectation, dialogue.dump_any(_EXPECTATIONS)))


def detach(dialogue: Dialogue, flows: Sequence[Flow]) -> list[Flow]:
    """Take the helpers away; return the flows that keep theirs, as they were expected themselves.

    Flows that are gone already are no error.
    Raises: DataplaneError.
    """
    orders = [Order(ctnetlink.CHANGE_FLOW, each.family, ctnetlink.detach(each)) for each in flows]
    errors = _errors(dialogue, orders, "take the helper from a flow", known=errno.EBUSY)
    return [flows[at] for at in errors]


def delete(dialogue: Dialogue, flows: Sequence[Flow]) -> None:
    """Remove the flows; those that are gone already are no error.

    Raises: DataplaneError.
    """
    orders = [Order(ctnetlink.DELETE_FLOW, each.family, ctnetlink.delete(each)) for each in flows]
    _errors(dialogue, orders, "remove a flow")


def _errors(
    dialogue: Dialogue, orders: Sequence[Order], words: str, *, known: int = 0
) -> list[int]:
    """Carry *orders* out; return the indices of those that met the errno *known*."""
    found = []
    for at, answer in dialogue.carry_out_each(orders).items():
        if answer.errno == known:
            found.append(at)
        elif answer.errno != errno.ENOENT:
            raise DataplaneError(
                words, netns=dialogue.netns, errno=answer.errno, words=answer.words
            )
    return found


def _families(debts: Iterable[Debt]) -> set[int]:
    return {
        _FAMILIES[family] for each in debts for family in families_of(each.key, each.destinations)
    }


def _flows(dialogue: Dialogue, family: int, body: bytes) -> Iterator[Flow]:
    question = Question(ctnetlink.GET_FLOWS, family, body, "list flows")
    return map(ctnetlink.flow, dialogue.dump_any(question))
