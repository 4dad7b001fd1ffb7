"""Our place in the table *security* of one family, which narrows related connections.

It is compared as text, and where it differs it is made anew, in one restore.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ctherd.dataplane.iptables import listing
from ctherd.dataplane.iptables.change import Line
from ctherd.dataplane.iptables.listing import Listing
from ctherd.dataplane.iptables.names import Names
from ctherd.dataplane.iptables.narrowing import HOOKS
from ctherd.dataplane.iptables.side import jump


@dataclass(frozen=True, slots=True)
class Guard:
    """What is in *found*, the table, for whoever has *names*."""

    found: Listing
    names: Names

    @property
    def present(self) -> bool:
        """There is our chain, or a jump to it."""
        return self.names.chain in self.found.chains or any(map(self._jumps, HOOKS))

    def is_as(self, wanted: Sequence[str]) -> bool:
        """Tell whether exactly *wanted* is here, and reached; nothing wanted means no chain."""
        if not wanted:
            return not self.present
        return self.found.rules_of(self.names.chain) == list(wanted) and all(
            self._is_first_once(hook) for hook in HOOKS
        )

    def lines(self, wanted: Sequence[str]) -> Iterator[Line]:
        """Yield what makes it so."""
        chain, our_jump = self.names.chain, jump(self.names)
        for hook in HOOKS:
            yield from [Line(f"-D {hook} {our_jump}")] * self._jumps(hook)
        if chain in self.found.chains:
            yield Line(f"-F {chain}")
        if not wanted:
            if chain in self.found.chains:
                yield Line(f"-X {chain}")
            return
        if chain not in self.found.chains:
            yield Line(f"-N {chain}")
        yield from (Line(f"-A {chain} {text}") for text in wanted)
        # First: whatever others accept there must not get past us.
        yield from (Line(f"-I {hook} {our_jump}") for hook in HOOKS)

    def _jumps(self, hook: str) -> int:
        return self.found.rules_of(hook).count(jump(self.names))

    def _is_first_once(self, hook: str) -> bool:
        """Tell whether nothing decides on packets before us."""
        rules = self.found.rules_of(hook)
        our_jump = jump(self.names)
        if rules.count(our_jump) != 1:
            return False
        return not any(listing.target_of(text) for text in rules[: rules.index(our_jump)])
