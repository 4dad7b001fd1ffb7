"""One kept netns, and what was last read of our places in it."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ctherd.dataplane.iptables import narrowing, observe, side
from ctherd.dataplane.iptables.listing import Listing
from ctherd.dataplane.iptables.names import Names
from ctherd.dataplane.iptables.observe import Contents
from ctherd.dataplane.iptables.related import Guard
from ctherd.dataplane.iptables.side import Side
from ctherd.model.catalog import Family
from ctherd.model.safe_scope import WIDE, SafeScope
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import Namespace

Listings = Mapping[Family, Listing]


@dataclass(slots=True)
class Place:
    """What is known of one netns, true at *generation* unless it is *stale*.

    Shape: *unread* says, in words, why a family is not in *listings*; *missed* counts the commits
    in a row that somebody else's change came before; *scope* narrows what helpers may do, and
    *security* is the table of that name, as far as something of ours may be in it.
    """

    namespace: Namespace
    dialogue: Dialogue
    netns_fd: int
    generation: int = 0
    stale: bool = True
    listings: dict[Family, Listing] = field(default_factory=dict)
    unread: dict[Family, str] = field(default_factory=dict)
    names: Names | None = None
    sides: dict[Family, Side] = field(default_factory=dict)
    contents: Contents = field(default_factory=Contents)
    missed: int = 0
    scope: SafeScope = WIDE
    security: dict[Family, Listing] = field(default_factory=dict)

    def close(self) -> None:
        """Let go of the netns."""
        self.namespace.close()
        os.close(self.netns_fd)

    def learn(self, listings: Listings, unread: Mapping[Family, str]) -> None:
        """Take over what was just read."""
        self.listings = dict(listings)
        self.unread = dict(unread)

    def understand(self, names: Names | None) -> None:
        """Work out what the listings mean to whoever marks by *names*; None for nobody yet."""
        self.names = names
        if names is None:
            self.sides = {}
            self.contents = observe.unclaimed(self.listings)
            return
        for family, found in self.listings.items():
            self.sides[family] = self._side(found, names, family)
        self.sides = {family: self.sides[family] for family in self.listings}
        self.reckon()

    def reckon(self) -> None:
        """Work out what is live, and what is damaged, of what is known of each family."""
        assert self.names is not None
        self.contents = observe.contents(self.sides, self.names, self.unread, self._unguarded)

    def _side(self, found: Listing, names: Names, family: Family) -> Side:
        entry = [each.text for each in narrowing.before_assignment(self.scope, names)]
        return side.read(found, names, family, entry)

    def guard(self, family: Family) -> Guard:
        """Return our place in the table security of *family*."""
        assert self.names is not None
        return Guard(self.security.get(family, Listing()), self.names)

    def guard_wanted(self, family: Family, helpers: Iterable[str]) -> list[str]:
        """Return the rules that shall be there where *helpers* are assigned."""
        assert self.names is not None
        rules = narrowing.related(self.scope, self.names, helpers, family)
        return [each.text for each in rules]

    def _unguarded(self, helpers: Iterable[str]) -> Iterator[str]:
        """Yield, in words, where what narrows related connections is not as planned."""
        assigned = frozenset(helpers)
        for family in self.listings:
            if not self.guard(family).is_as(self.guard_wanted(family, assigned)):
                yield f"{family}: what narrows related connections is not as planned"

    def learn_side(self, family: Family, found: Listing) -> Side:
        """Take over what was read back of one family."""
        assert self.names is not None
        self.listings[family] = found
        self.unread.pop(family, None)
        self.sides[family] = self._side(found, self.names, family)
        return self.sides[family]
