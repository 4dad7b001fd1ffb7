"""The kernel's answers to an Observation: what of our table works, and what is damage.

Everything in our table that is not exactly as ``layout`` says is named in words; only elements are
told apart, because they are what assignments are. Source of the comparison: our own messages, read
back through the same decoder.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from typing import Final

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.layout import MapShape
from ctherd.dataplane.nftables.narrowing import BaseChain, without_counts
from ctherd.dataplane.nftables.render import HelperOn
from ctherd.model.assignment import AssignmentKey, Destinations, Prefix, collapse
from ctherd.model.catalog import Family, Protocol
from ctherd.model.safe_scope import WIDE, SafeScope
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import nf_tables_read as read
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import Element, Operation, SetFlag
from ctherd.netlink.wire import Message

_READINGS: Final = 4
"""How often a map is read at most until as many elements are seen as the kernel counts."""

_PROTOCOLS = {protocol.number: protocol for protocol in Protocol}
FAMILIES = {
    nft.NFPROTO_INET: frozenset(Family),
    nft.NFPROTO_IPV4: frozenset((Family.IPV4,)),
    nft.NFPROTO_IPV6: frozenset((Family.IPV6,)),
}


@dataclass(slots=True)
class Contents:
    """What our table holds: assignments, objects with their families, and damage in words."""

    live: dict[AssignmentKey, Destinations] = field(default_factory=dict)
    families: dict[HelperOn, frozenset[Family]] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)


def read_table(dialogue: Dialogue) -> read.Table | None:
    """Return the table of our name, whoever made it; None if there is none."""
    message = dialogue.ask(Operation.GETTABLE, nft.table_name(layout.TABLE))
    return None if message is None else read.table(message)


def read_contents(dialogue: Dialogue, table: read.Table, scope: SafeScope = WIDE) -> Contents:
    """Read everything in our table, which should be made for *scope*."""
    contents = Contents()
    objects = _read_objects(dialogue, contents)
    shapes = _read_maps(dialogue, contents)
    targets: dict[AssignmentKey, list[Prefix]] = {}
    for shape, count in shapes.items():
        for element in _read_elements(dialogue, shape, count):
            _place(element, shape, objects, targets, contents)
    for key, prefixes in targets.items():
        contents.live[key] = collapse(prefixes)
    _check_shapes(list(shapes), contents)
    intact = _check_chains(dialogue, tuple(shapes), scope, contents)
    if table.use != len(layout.chains(scope)) + len(shapes) + len(objects):
        contents.damage.append("the table holds chains, maps or objects that are not planned")
    used = {(key.helper, key.protocol) for key in contents.live}
    contents.damage += [
        f"object {layout.object_name(*each)} is used by nothing"
        for each in contents.families
        if each not in used
    ]
    if not intact:
        # Without its hooks and rules no assignment in the maps has any effect.
        contents.live.clear()
    return contents


def read_families(dialogue: Dialogue) -> dict[HelperOn, frozenset[Family]]:
    """Read for which families the kernel made the helper objects of our table."""
    contents = Contents()
    _read_objects(dialogue, contents)
    return contents.families


def _read_objects(dialogue: Dialogue, contents: Contents) -> dict[str, HelperOn]:
    objects: dict[str, HelperOn] = {}
    for message in dialogue.dump(Operation.GETOBJ, nft.object_table(layout.TABLE)):
        found = read.helper_object(message)
        protocol = _PROTOCOLS.get(found.l4_protocol) if found else None
        if found is None or protocol is None:
            contents.damage.append("an object that is not planned")
        elif found.name != layout.object_name(found.helper, protocol):
            contents.damage.append(f"object {found.name} is helper {found.helper} on {protocol}")
        else:
            objects[found.name] = (found.helper, protocol)
            contents.families[found.helper, protocol] = FAMILIES.get(found.l3_protocol, frozenset())
    return objects


def _read_maps(dialogue: Dialogue, contents: Contents) -> dict[MapShape, int | None]:
    """Read our maps, in our order, with the number of elements if the kernel tells it."""
    by_name = {shape.name: shape for shape in layout.MAPS}
    found_maps: dict[MapShape, int | None] = {}
    for message in dialogue.dump(Operation.GETSET, nft.object_table(layout.TABLE)):
        found = read.set_(message)
        shape = by_name.get(found.name)
        if shape is None or not _is_map(found, shape):
            contents.damage.append(f"map {found.name} is not as planned")
        else:
            found_maps[shape] = found.count
    return {shape: found_maps[shape] for shape in layout.MAPS if shape in found_maps}


def _is_map(found: read.Set, shape: MapShape) -> bool:
    flags = SetFlag.OBJECT
    if shape.family is not None:
        flags |= SetFlag.INTERVAL | SetFlag.CONCAT
    return (found.flags, found.key_type, found.key_length, found.object_type) == (
        flags,
        nft.key_type(shape.types),
        shape.key_length,
        nft.OBJECT_CT_HELPER,
    )


def _read_elements(dialogue: Dialogue, shape: MapShape, count: int | None) -> Iterable[Element]:
    """Read the elements of one map.

    A hash table that has just grown is still being rehashed in the background, and a dump then
    skips some elements and tells others twice. So a dump that falls short is read again.
    """
    place = nft.set_place(layout.TABLE, shape.name)
    found: dict[Element, None] = {}
    for _ in range(_READINGS):
        for message in dialogue.dump(Operation.GETSETELEM, place):
            found.update(dict.fromkeys(read.elements(message)))
        if count is None or len(found) >= count:
            break
    return found


def _place(
    element: Element,
    shape: MapShape,
    objects: Mapping[str, HelperOn],
    targets: dict[AssignmentKey, list[Prefix]],
    contents: Contents,
) -> None:
    """File *element* under the assignment it is, or name it as damage."""
    protocol = _PROTOCOLS.get(element.key[0]) if len(element.key) == shape.key_length else None
    helper, helper_protocol = objects.get(element.target, ("", None))
    port = int.from_bytes(element.key[4:6], "big")
    if protocol is None or helper_protocol is not protocol or not port:
        contents.damage.append(f"an element of map {shape.name} makes no assignment")
        return
    key = AssignmentKey(protocol, port, helper)
    if shape.family is None:
        if targets.get(key):
            contents.damage.append(f"{key} is in more than one map")
        targets[key] = []
        return
    prefixes = _prefixes(element)
    if not prefixes or targets.get(key) == []:
        contents.damage.append(f"an element of map {shape.name} makes no assignment")
        return
    targets.setdefault(key, []).extend(prefixes)


def _prefixes(element: Element) -> list[Prefix]:
    low, high = element.key[8:], (element.end or element.key)[8:]
    if (element.end or element.key)[:8] != element.key[:8]:
        return []
    make = IPv4Address if len(low) == 4 else IPv6Address
    try:
        return list(summarize_address_range(make(low), make(high)))
    except ValueError:
        return []


def _check_shapes(shapes: list[MapShape], contents: Contents) -> None:
    planned = layout.maps_for(contents.live.values())
    contents.damage += [f"map {shape.name} is missing" for shape in planned if shape not in shapes]
    contents.damage += [
        f"map {shape.name} is used by nothing" for shape in shapes if shape not in planned
    ]


def _check_chains(
    dialogue: Dialogue, shapes: tuple[MapShape, ...], scope: SafeScope, contents: Contents
) -> bool:
    """Check hooks and rules; return false if what is missing makes assignments ineffective."""
    intact = True
    helpers = layout.helpers_in(contents.live, scope)
    for chain in layout.chains(scope):
        assigns = chain in layout.CHAINS
        message = dialogue.ask(Operation.GETCHAIN, nft.chain_name(layout.TABLE, chain.name))
        if message is None or not _is_chain(message, chain):
            contents.damage.append(f"chain {chain.name} is missing or hooked elsewhere")
            intact = intact and not assigns
            continue
        place = nft.rule_place(layout.TABLE, chain.name)
        rules = [
            without_counts(read.rule(each).expressions)
            for each in dialogue.dump(Operation.GETRULE, place)
        ]
        if rules != _expected(layout.rules(chain.name, shapes, scope, helpers)):
            contents.damage.append(f"the rules of chain {chain.name} are not as planned")
            # Rules of a table that was made before the policy narrowed helpers do assign.
            intact = intact and (not assigns or rules == [*map(_expected_rule, shapes)])
    return intact


def _is_chain(message: Message, chain: BaseChain) -> bool:
    found = read.chain(message)
    return (found.hook, found.priority, found.type, found.policy) == (
        chain.hook,
        chain.priority,
        "filter",
        nft.POLICY_ACCEPT,
    )


def _expected(rules: tuple[tuple[bytes, ...], ...]) -> list[tuple[read.Expression, ...]]:
    return [_decoded(rule) for rule in rules]


def _expected_rule(shape: MapShape) -> tuple[read.Expression, ...]:
    return _decoded(layout.rule_expressions(shape))


@lru_cache(maxsize=1024)
def _decoded(rule: tuple[bytes, ...]) -> tuple[read.Expression, ...]:
    return tuple(read.expression(raw) for raw in rule)
