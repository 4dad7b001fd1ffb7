"""One kept netns, and what was last read of our places in it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from ctherd.dataplane.iptables import observe, side
from ctherd.dataplane.iptables.listing import Listing
from ctherd.dataplane.iptables.names import Names
from ctherd.dataplane.iptables.observe import Contents
from ctherd.dataplane.iptables.side import Side
from ctherd.model.catalog import Family
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import Namespace

Listings = Mapping[Family, Listing]


@dataclass(slots=True)
class Place:
    """What is known of one netns, true at *generation* unless it is *stale*.

    Shape: *unread* says, in words, why a family is not in *listings*; *missed* counts the commits
    in a row that somebody else's change came before.
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
        self.sides = {
            family: side.read(found, names, family) for family, found in self.listings.items()
        }
        self.contents = observe.contents(self.sides, names, self.unread)

    def learn_side(self, family: Family, found: Listing) -> Side:
        """Take over what was read back of one family."""
        assert self.names is not None
        self.listings[family] = found
        self.unread.pop(family, None)
        self.sides[family] = side.read(found, self.names, family)
        return self.sides[family]
