"""What there is in a netns besides our assignments: flows, foreign rules, trouble, counters."""

from collections.abc import Collection
from dataclasses import dataclass

from ctherd.dataplane.conntrack import live_flows
from ctherd.dataplane.finding import Finding, as_data
from ctherd.dataplane.iptables import neighbour
from ctherd.dataplane.iptables.names import chain_of
from ctherd.dataplane.nftables import layout, narrowing
from ctherd.dataplane.survey import survey
from ctherd.dataplane.trouble import trouble
from ctherd.main.dataplanes import NFTABLES, Choice
from ctherd.model.assignment import AssignmentKey
from ctherd.model.document import NetnsName
from ctherd.model.observation import Tag
from ctherd.model.safe_scope import SafeScope
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.directory import NetnsDirectory
from ctherd.service.host_answers import Answer


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One netns; *tag* is our mark there.

    Raises, from every method: CtherdError; OSError if the netns may not be entered.
    """

    netns: NetnsName
    directory: NetnsDirectory
    dialogue: Dialogue
    choice: Choice
    tag: Tag | None

    def around(self, keys: Collection[AssignmentKey], scope: SafeScope) -> Answer:
        """Return everything; *keys* are live, narrowed by *scope*."""
        foreign = self._survey()
        warnings = list(trouble(self.dialogue, foreign, keys))
        if self.choice.variant is not None:
            with self.directory.held(self.netns) as fd:
                foreign += neighbour.find(fd, self.choice.variant)
        flows = {
            helper: {"flows": count.flows, "expectations": count.expectations}
            for helper, count in live_flows(self.dialogue).items()
        }
        return {
            "flows": flows,
            "foreign": [as_data(finding) for finding in foreign],
            "warnings": warnings,
            "narrowed": self._narrowed(keys, scope) if keys else [],
        }

    def trouble(self, keys: Collection[AssignmentKey]) -> list[str]:
        """Return what stands in the way of *keys*."""
        return list(trouble(self.dialogue, self._survey(), keys))

    def _survey(self) -> list[Finding]:
        our_chain = "" if self.tag is None else chain_of(self.tag)
        with self.directory.held(self.netns) as fd:
            return [*survey(self.dialogue, fd, is_our_chain=lambda chain: chain == our_chain)]

    def _narrowed(self, keys: Collection[AssignmentKey], scope: SafeScope) -> list[Answer]:
        if self.choice.name != NFTABLES:
            return []
        helpers = layout.helpers_in(keys, scope)
        counted = narrowing.counted(self.dialogue, layout.TABLE, scope, helpers)
        return [each._asdict() for each in counted]
