"""Our place in the raw table of one family: what is there, whoever put it there."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ctherd.dataplane.finding import printable
from ctherd.dataplane.iptables import listing, rule
from ctherd.dataplane.iptables.listing import Listing
from ctherd.dataplane.iptables.names import Names, is_mark
from ctherd.dataplane.iptables.narrowing import entry_of
from ctherd.dataplane.iptables.rule import Rule
from ctherd.dataplane.iptables.variant import BASES, PREROUTING
from ctherd.model.catalog import Family


@dataclass(frozen=True, slots=True)
class Base:
    """One of the chains that the kernel calls.

    Shape: *jumps* counts ours, all alike; *reached* is true if the first of them is not behind a
    rule that ends every packet's way; *ends* is true if there is such a rule at all.
    """

    jumps: int = 0
    reached: bool = False
    ends: bool = False


_NO_BASE = Base()


@dataclass(frozen=True, slots=True)
class Side:
    """Our place in one family.

    Shape: *rules* are those in our chain that can be ours, counted; *surplus* is the text of every
    other one in it; *users* are rules elsewhere that jump to our chain and are not our jumps;
    *marked* is false for a chain of our name that holds only what does not bear our mark, and then
    *mark* is what it bears. *entry* is the text of the rules before our chain, None without such a
    chain, *entry_wanted* what it shall be, and *entry_leads_on* whether it leads to our chain;
    *detours* are our jumps from PREROUTING past it, or to it where it should not be.
    """

    family: Family
    present: bool = False
    marked: bool = True
    mark: str = ""
    rules: Counter[Rule] = field(default_factory=Counter)
    surplus: tuple[str, ...] = ()
    bases: Mapping[str, Base] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    entry: tuple[str, ...] | None = None
    entry_wanted: tuple[str, ...] | None = None
    entry_leads_on: bool = False
    detours: Base = _NO_BASE

    def base(self, name: str) -> Base:
        """Return what is known of the base chain *name*."""
        return self.bases.get(name, _NO_BASE)

    @property
    def works(self) -> bool:
        """True if packets reach our chain from every base chain, narrowed as planned or not."""
        narrowed = self.entry_wanted is not None
        direct, around = self.base(PREROUTING), self.detours
        if narrowed:
            direct, around = around, direct
        arrives = direct.reached or (around.reached and self.entry_leads_on)
        return arrives and all(self.base(name).reached for name in BASES if name != PREROUTING)

    @property
    def empty(self) -> bool:
        """True if nothing of ours is here."""
        if self.present or self.entry is not None or self.detours.jumps:
            return False
        return not any(base.jumps for base in self.bases.values())

    def is_as(self, wanted: Counter[Rule]) -> bool:
        """Tell whether exactly *wanted* is here, and works; nothing wanted means no chain."""
        if not wanted:
            return self.empty
        once = all(self.base(name).jumps == 1 for name in BASES)
        narrowed = self.entry == self.entry_wanted and not self.detours.jumps
        return self.rules == wanted and not self.surplus and once and self.works and narrowed

    def damage(self, wanted: Counter[Rule]) -> Iterator[str]:
        """Name, in words, everything here that makes no assignment and is not as planned."""
        if not self.present:
            return
        if self.entry != self.entry_wanted or self.detours.jumps:
            yield f"{self.family}: what narrows helpers before they are assigned is not as planned"
        for name in BASES:
            base = self.base(name)
            if name == PREROUTING and self.detours.jumps:
                continue
            if not base.jumps:
                yield f"{self.family}: the jump from {name} to our chain is missing"
            elif not base.reached:
                yield f"{self.family}: the jump from {name} to our chain is never reached"
            elif base.jumps > 1:
                yield f"{self.family}: {name} jumps to our chain {base.jumps} times"
        for text in self.surplus:
            yield f"{self.family}: in our chain is a rule that is not planned: {printable(text)}"
        if self.works and self.rules != wanted:
            yield f"{self.family}: rules of our chain are doubled, or spelled otherwise"
        if not self.rules and not self.surplus:
            yield f"{self.family}: our chain is empty"


def jump(names: Names) -> str:
    """Return our jump as iptables-save prints it, without the chain that it is in."""
    return f"-m comment --comment {names.comment} -j {names.chain}"


def entry_jump(names: Names) -> str:
    """Return our jump to what stands before our chain."""
    return f"-m comment --comment {names.comment} -j {entry_of(names)}"


def read(found: Listing, names: Names, family: Family, entry_wanted: Sequence[str] = ()) -> Side:
    """Return our place in *found*; *entry_wanted* are the rules that shall stand before it."""
    present = names.chain in found.chains
    inside = found.rules_of(names.chain) if present else []
    rules: Counter[Rule] = Counter()
    surplus = []
    for text in inside:
        understood = rule.parse(text, names.comment, family)
        if understood is None:
            surplus.append(text)
        else:
            rules[understood] += 1
    bases = {name: _base(found.rules_of(name), jump(names)) for name in BASES}
    detours = _base(found.rules_of(PREROUTING), entry_jump(names))
    if entry_wanted:
        bases[PREROUTING], detours = detours, bases[PREROUTING]
    entry = entry_of(names)
    marked, mark = _marked(inside, names, bases)
    return Side(
        family,
        present=present,
        marked=marked,
        mark=mark,
        rules=rules,
        surplus=tuple(surplus),
        bases=bases,
        users=tuple(_users(found, names)),
        entry=tuple(found.rules_of(entry)) if entry in found.chains else None,
        entry_wanted=tuple(entry_wanted) or None,
        entry_leads_on=_base(found.rules_of(entry), jump(names)).reached,
        detours=detours,
    )


def _base(rules: list[str], our_jump: str) -> Base:
    end = next(
        (index for index, text in enumerate(rules) if listing.is_verdict_on_everything(text)), None
    )
    if our_jump not in rules:
        return Base(ends=end is not None)
    reached = end is None or rules.index(our_jump) < end
    return Base(rules.count(our_jump), reached, end is not None)


def _marked(inside: list[str], names: Names, bases: Mapping[str, Base]) -> tuple[bool, str]:
    """Tell whether the chain of our name bears our mark, and what mark it bears if not.

    Nobody can guess the name. So an empty chain, which is what a flush of the table leaves, is
    ours.
    """
    marks = [listing.comment_of(text) for text in inside]
    if not inside or names.comment in marks or any(base.jumps for base in bases.values()):
        return True, names.comment
    return False, next(filter(is_mark, marks), "")


def _users(found: Listing, names: Names) -> Iterator[str]:
    for chain, text in found.rules:
        ours = chain in (*BASES, entry_of(names)) and text == jump(names)
        if not ours and chain != names.chain and listing.target_of(text) == names.chain:
            yield f"-A {chain} {text}"
