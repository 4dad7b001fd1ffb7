"""Changes to messages: the steps of a transaction, and whom a refusal of each concerns."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.layout import MapShape
from ctherd.dataplane.nftables.narrowing import BaseChain
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Protocol
from ctherd.model.observation import Live
from ctherd.model.safe_scope import WIDE, SafeScope
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.nf_tables import Element, Request, TableFlag

HelperOn = tuple[str, Protocol]
"""A kernel helper on a protocol: what one ct helper object stands for."""


Placed = Mapping[AssignmentKey, tuple[tuple[MapShape, Element], ...]]
"""Assignments with the map elements that make them true."""


class Step(NamedTuple):
    """One message, and the assignments that cannot be made true if the kernel refuses it.

    Shape: a *coarse* step carries several assignments of which not all need be at fault.
    """

    request: Request
    concerns: tuple[AssignmentKey, ...] = ()
    coarse: bool = False


class Delta(NamedTuple):
    """What leaves and what enters a table that stays.

    Shape: *target* is all that is live then; of a replaced assignment *removed* holds the old
    destinations, *added* the new; *made* and *unused* are the objects whose first user comes and
    whose last user goes.
    """

    target: Live
    removed: Live
    added: Live
    made: Sequence[HelperOn]
    unused: Sequence[HelperOn]


def create(
    target: Live, tag: str, flags: TableFlag, scope: SafeScope, *, one_by_one: bool
) -> list[Step]:
    """Return the steps that make the whole table for *target*.

    The table's creation is exclusive: if there is one already, nothing happens (EEXIST), which is
    the check that makes a generation unnecessary. With *one_by_one* each assignment's elements
    travel in messages of their own, so that an error names it.
    """
    shapes = layout.maps_for(target.values())
    placed = {key: layout.elements(key, scope) for key, scope in target.items()}
    return [
        Step(nft.new_table(layout.TABLE, flags, layout.mark(tag), exclusive=True)),
        *chains(layout.chains(scope)),
        *_objects(dict.fromkeys((key.helper, key.protocol) for key in target), target),
        *maps(shapes),
        *_insert(placed, one_by_one=one_by_one),
        *rules(shapes, scope, layout.helpers_in(target, scope)),
    ]


def recreate(
    target: Live, tag: str, flags: TableFlag, scope: SafeScope, *, one_by_one: bool
) -> list[Step]:
    """Return the steps that replace the table by one that holds *target* and nothing else.

    In one transaction no packet meets a moment without either.
    """
    made = create(target, tag, flags, scope, one_by_one=one_by_one)
    return [Step(nft.del_table(layout.TABLE)), *made]


def update(delta: Delta, *, one_by_one: bool) -> list[Step]:
    """Return the steps that change elements and objects in a table that stays."""
    steps = _objects(delta.made, delta.added)
    # An element's object cannot be changed, so what leaves goes first.
    steps += _remove(_only_in(delta.removed, delta.added))
    steps += _insert(_only_in(delta.added, delta.removed), one_by_one=one_by_one)
    steps += [
        Step(nft.del_ct_helper(layout.TABLE, layout.object_name(helper, protocol)))
        for helper, protocol in delta.unused
    ]
    return steps


def claim(flags: TableFlag) -> Step:
    """Return the step that puts an existing table under the kernel's guard."""
    return Step(nft.new_table(layout.TABLE, flags, "", exclusive=False))


def delete() -> Step:
    """Return the step that removes the table with everything in it."""
    return Step(nft.del_table(layout.TABLE))


def _only_in(some: Live, others: Live) -> Placed:
    """Return the elements of *some* without those that the same key has in *others*."""
    placed = {}
    for key, destinations in some.items():
        mine = layout.elements(key, destinations)
        if key in others:
            theirs = set(layout.elements(key, others[key]))
            mine = tuple(each for each in mine if each not in theirs)
        placed[key] = mine
    return placed


@cache
def chains(wanted: tuple[BaseChain, ...]) -> tuple[Step, ...]:
    """Return the steps that make our chains."""
    return tuple(Step(nft.new_base_chain(layout.TABLE, *each)) for each in wanted)


@cache
def maps(shapes: tuple[MapShape, ...]) -> tuple[Step, ...]:
    """Return the steps that make maps of these *shapes*."""
    return tuple(
        Step(
            nft.new_object_map(
                layout.TABLE,
                shape.name,
                shape.types,
                shape.lengths,
                interval=shape.family is not None,
            )
        )
        for shape in shapes
    )


def rules(
    shapes: tuple[MapShape, ...], scope: SafeScope, helpers: frozenset[str]
) -> tuple[Step, ...]:
    """Return the steps that fill our chains where these maps and *helpers* are."""
    if scope is WIDE:
        return _plain_rules(shapes)
    return tuple(
        Step(nft.new_rule(layout.TABLE, chain.name, expressions))
        for chain in layout.chains(scope)
        for expressions in layout.rules(chain.name, shapes, scope, helpers)
    )


@cache
def _plain_rules(shapes: tuple[MapShape, ...]) -> tuple[Step, ...]:
    return tuple(
        Step(nft.new_rule(layout.TABLE, chain.name, layout.rule_expressions(shape)))
        for chain in layout.CHAINS
        for shape in shapes
    )


def _objects(wanted: Iterable[HelperOn], users: Iterable[AssignmentKey]) -> list[Step]:
    by_object: dict[HelperOn, list[AssignmentKey]] = {each: [] for each in wanted}
    for key in users:
        if (concerned := by_object.get((key.helper, key.protocol))) is not None:
            concerned.append(key)
    return [Step(helper_object(*each), tuple(keys)) for each, keys in by_object.items()]


@cache
def helper_object(helper: str, protocol: Protocol) -> Request:
    """Return the request for the object of *helper* on *protocol*."""
    name = layout.object_name(helper, protocol)
    return nft.new_ct_helper(layout.TABLE, name, helper, protocol.number)


def _insert(placed: Placed, *, one_by_one: bool) -> list[Step]:
    if one_by_one:
        return [step for key in placed for step in _insert_together({key: placed[key]})]
    return _insert_together(placed)


def _insert_together(placed: Placed) -> list[Step]:
    keys = tuple(placed)
    return [
        Step(request, keys, coarse=len(keys) > 1)
        for shape, elements in _by_map(placed).items()
        for request in nft.new_elements(layout.TABLE, shape.name, elements)
    ]


def _remove(placed: Placed) -> list[Step]:
    return [
        Step(request)
        for shape, elements in _by_map(placed).items()
        for request in nft.del_elements(layout.TABLE, shape.name, elements)
    ]


def _by_map(placed: Placed) -> dict[MapShape, list[Element]]:
    grouped: dict[MapShape, list[Element]] = {}
    for items in placed.values():
        for shape, element in items:
            grouped.setdefault(shape, []).append(element)
    return grouped
