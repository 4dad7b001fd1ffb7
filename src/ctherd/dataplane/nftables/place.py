"""One kept netns: its transport, and what the kernel last said of our table in it."""

from collections import Counter
from dataclasses import dataclass, field

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.render import Delta, HelperOn
from ctherd.model.assignment import AssignmentKey, Destinations
from ctherd.model.observation import Live, Ownership
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import Namespace
from ctherd.plan.diff import Change


@dataclass(slots=True)
class Place:
    """What is known of our table in one netns, true at *generation*.

    While *guarded* holds nobody else can change the table, so it is true at any generation. Only a
    table made with the guard in mind is *claimable*; any other has to be made anew to be guarded.
    """

    namespace: Namespace
    dialogue: Dialogue
    generation: int = 0
    ownership: Ownership = Ownership.ABSENT
    guarded: bool = False
    claimable: bool = False
    live: dict[AssignmentKey, Destinations] = field(default_factory=dict)
    users: Counter[HelperOn] = field(default_factory=Counter)

    def learn(self, ownership: Ownership, live: Live, *, guarded: bool) -> None:
        """Take over what was just read, or just committed, as a whole."""
        self.ownership = ownership
        self.guarded = guarded
        self.live = dict(live)
        self.users = Counter((key.helper, key.protocol) for key in live)

    def delta(self, changes: tuple[Change, ...]) -> Delta:
        """Return what *changes* take out of the table and put into it."""
        removed, added = {}, {}
        users: Counter[HelperOn] = Counter()
        for change in changes:
            if change.key in self.live:
                removed[change.key] = self.live[change.key]
                users[change.key.helper, change.key.protocol] -= 1
            if change.after is not None:
                added[change.key] = change.after
                users[change.key.helper, change.key.protocol] += 1
        return Delta(
            removed,
            added,
            made=[each for each, more in users.items() if more > 0 and not self.users[each]],
            unused=[each for each, more in users.items() if more and not self.users[each] + more],
        )

    def apply(self, delta: Delta) -> None:
        """Remember that *delta* happened."""
        for key in delta.removed:
            del self.live[key]
            self.users[key.helper, key.protocol] -= 1
        for key, destinations in delta.added.items():
            self.live[key] = destinations
            self.users[key.helper, key.protocol] += 1
        self.users += Counter()  # drops the zeros

    def needs_other_maps(self, delta: Delta) -> bool:
        """Tell whether the set of maps changes, which only making the table anew can do."""
        touched = (*delta.removed.values(), *delta.added.values())
        if self.live and not any(touched):
            return False
        return layout.maps_for(self.live.values()) != layout.maps_for(self.after(delta).values())

    def after(self, delta: Delta) -> dict[AssignmentKey, Destinations]:
        """Return what will be live once *delta* has happened."""
        # Copied whole, then touched where it changes: a thousand keys are not looked at one by one.
        target = self.live.copy()
        for key in delta.removed:
            del target[key]
        target.update(delta.added)
        return target
