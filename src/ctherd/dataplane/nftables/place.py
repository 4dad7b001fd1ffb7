"""One kept netns: its transport, and what the kernel last said of our table in it."""

from collections import Counter
from dataclasses import dataclass, field

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.render import Delta, HelperOn
from ctherd.model.observation import Live, Ownership
from ctherd.model.safe_scope import WIDE, SafeScope
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import Namespace
from ctherd.plan.diff import Change


@dataclass(slots=True)
class Place:
    """What is known of our table in one netns, true at *generation*, and *told* at an older one.

    While *guarded* holds nobody else can change the table, so it is true at any generation. Only a
    table made with the guard in mind is *claimable*; any other has to be made anew to be guarded.
    Shape: *scope* is what the table was, or will be, made for; *live* is replaced, never changed;
    *users* of each object are counted when a table that
    stays is first changed, and kept up to date from then on.
    """

    namespace: Namespace
    dialogue: Dialogue
    scope: SafeScope = WIDE
    generation: int = 0
    told: int = 0
    ownership: Ownership = Ownership.ABSENT
    guarded: bool = False
    claimable: bool = False
    live: Live = field(default_factory=dict)
    users: Counter[HelperOn] | None = None

    def learn(self, ownership: Ownership, live: Live, *, guarded: bool) -> None:
        """Take over what was just read, or just committed, as a whole."""
        self.ownership = ownership
        self.guarded = guarded
        self.live = live
        self.users = None

    def forget(self) -> None:
        """Let nothing that was read before count any more."""
        self.generation = 0
        self.guarded = False

    def delta(self, changes: tuple[Change, ...]) -> Delta:
        """Return what *changes* take out of the table and put into it."""
        removed, added = {}, {}
        more: Counter[HelperOn] = Counter()
        for change in changes:
            if change.key in self.live:
                removed[change.key] = self.live[change.key]
                more[change.key.helper, change.key.protocol] -= 1
            if change.after is not None:
                added[change.key] = change.after
                more[change.key.helper, change.key.protocol] += 1
        users = self._users()
        return Delta(
            self._after(removed, added),
            removed,
            added,
            made=[each for each, count in more.items() if count > 0 and not users[each]],
            unused=[each for each, count in more.items() if count and not users[each] + count],
        )

    def apply(self, delta: Delta) -> None:
        """Remember that *delta* happened."""
        users = self._users()
        users.subtract((key.helper, key.protocol) for key in delta.removed)
        users.update((key.helper, key.protocol) for key in delta.added)
        self.users = +users  # without the zeros
        self.live = delta.target

    def needs_other_rules(self, delta: Delta) -> bool:
        """Tell whether maps or rules change, which only making the table anew can do."""
        if self.scope.related and self._helpers(self.live) != self._helpers(delta.target):
            return True
        touched = (*delta.removed.values(), *delta.added.values())
        if self.live and not any(touched):
            return False
        return layout.maps_for(self.live.values()) != layout.maps_for(delta.target.values())

    def _helpers(self, live: Live) -> frozenset[str]:
        return layout.helpers_in(live, self.scope)

    def _users(self) -> Counter[HelperOn]:
        if self.users is None:
            self.users = Counter((key.helper, key.protocol) for key in self.live)
        return self.users

    def _after(self, removed: Live, added: Live) -> Live:
        # Copied whole, then touched where it changes: a thousand keys are not looked at one by one.
        target = dict(self.live)
        for key in removed:
            del target[key]
        target.update(added)
        return target
