"""Both families' places to one Observation: what works as an assignment, and what is damage."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ctherd.dataplane.iptables import listing, rule
from ctherd.dataplane.iptables.listing import Listing
from ctherd.dataplane.iptables.names import Names, is_mark, looks_like_ours, tag_of
from ctherd.dataplane.iptables.rule import Rule
from ctherd.dataplane.iptables.side import Side
from ctherd.model.assignment import AssignmentKey, Destinations, collapse
from ctherd.model.catalog import Family, Protocol
from ctherd.model.observation import Live, Ownership

Sides = Mapping[Family, Side]
HelperOn = tuple[str, Protocol]

Unguarded = Callable[[Iterable[str]], Iterator[str]]
"""Yields, in words, where related connections are not narrowed as planned for live helpers."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What our place holds, taking both families together. Shape: as in Observation."""

    ownership: Ownership = Ownership.ABSENT
    live: Mapping[AssignmentKey, Destinations] = field(default_factory=dict)
    families: Mapping[HelperOn, frozenset[Family]] = field(default_factory=dict)
    damage: tuple[str, ...] = ()
    holder: str = ""
    mark: str = ""


def contents(
    sides: Sides, names: Names, unread: Mapping[Family, str], unguarded: Unguarded
) -> Contents:
    """Return what *sides* come to; *unread* says why a family could not be read."""
    for side in sides.values():
        if side.present and not side.marked:
            return _foreign(side.family, names.chain, side.mark)
    live = live_in(sides)
    damage = [words for family, side in sides.items() for words in side.damage(wanted(live, side))]
    damage += unguarded({key.helper for key in live})
    damage += [f"{family}: cannot be read: {words}" for family, words in unread.items()]
    ours = damage or any(not side.empty for side in sides.values())
    return Contents(
        Ownership.OURS if ours else Ownership.ABSENT,
        live,
        _families(sides),
        tuple(damage),
        mark=tag_of(names) if ours else "",
    )


def live_in(sides: Sides) -> dict[AssignmentKey, Destinations]:
    """Return the assignments that packets of each family are given."""
    found: dict[AssignmentKey, list[tuple[Family, Rule]]] = defaultdict(list)
    for family, side in sides.items():
        for each in side.rules if side.works else ():
            found[each.key].append((family, each))
    return {key: collapse(rule.destinations_of(key, rules)) for key, rules in found.items()}


def wanted(live: Live, side: Side) -> Counter[Rule]:
    """Return the rules that *live* needs where *side* is, each once."""
    return Counter(rule.rules_for(live, side.family, side.rules))


def _families(sides: Sides) -> dict[HelperOn, frozenset[Family]]:
    found: dict[HelperOn, set[Family]] = defaultdict(set)
    for family, side in sides.items():
        for each in side.rules:
            found[each.key.helper, each.key.protocol].add(family)
    return {helper: frozenset(families) for helper, families in found.items()}


# -- what is not ours ----------------------------------------------------------------------------


def unclaimed(listings: Mapping[Family, Listing]) -> Contents:
    """Return what is there for somebody who never marked anything here: others' places, if any."""
    for family, found in listings.items():
        for names in marked_chains(found):
            return _foreign(family, names.chain, names.comment)
    return Contents()


def marked_chains(found: Listing) -> Iterator[Names]:
    """Yield the chains that some ctherd may have made, with the mark that they bear."""
    for chain in filter(looks_like_ours, found.chains):
        marks = {listing.comment_of(text) for text in found.rules_of(chain)}
        for mark in sorted(filter(is_mark, marks)):
            yield Names(chain, mark)
            break


def _foreign(family: Family, chain: str, mark: str) -> Contents:
    what = f"{family} chain {chain} of table raw"
    if not mark:
        return Contents(Ownership.FOREIGN, holder=f"{what} does not bear our mark")
    return Contents(
        Ownership.FOREIGN,
        holder=f"{what} bears the mark {mark}, which is not ours here",
        mark=tag_of(Names(chain, mark)),
    )
