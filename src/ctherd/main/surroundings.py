"""What there is in a netns besides our assignments: flows, foreign rules, trouble, counters."""

from collections.abc import Collection
from dataclasses import dataclass

from ctherd.dataplane.conntrack import live_flows
from ctherd.dataplane.finding import Finding, as_data
from ctherd.dataplane.iptables import neighbour
from ctherd.dataplane.iptables.guarding import read_counts
from ctherd.dataplane.iptables.names import chain_of, names_of
from ctherd.dataplane.iptables.programs import Programs
from ctherd.dataplane.iptables.variant import Variant
from ctherd.dataplane.nftables import layout, narrowing
from ctherd.dataplane.survey import survey
from ctherd.dataplane.trouble import trouble
from ctherd.main.dataplanes import Choice
from ctherd.model.assignment import AssignmentKey
from ctherd.model.document import NetnsName
from ctherd.model.observation import Tag
from ctherd.model.safe_scope import WIDE, SafeScope
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

    def _narrowed_by_iptables(
        self, variant: Variant, keys: Collection[AssignmentKey], scope: SafeScope
    ) -> list[Answer]:
        if scope == WIDE or self.tag is None:
            return []
        helpers = {key.helper for key in keys}
        with self.directory.held(self.netns) as fd:
            counted = [*read_counts(Programs(variant), fd, scope, names_of(self.tag), helpers)]
        return [
            {
                "chain": f"{family} {chain}",
                "words": rule.words,
                "packets": count.packets,
                "bytes": count.bytes,
            }
            for family, chain, rule, count in counted
        ]

    def _narrowed(self, keys: Collection[AssignmentKey], scope: SafeScope) -> list[Answer]:
        if self.choice.variant is not None:
            return self._narrowed_by_iptables(self.choice.variant, keys, scope)
        helpers = layout.helpers_in(keys, scope)
        counted = narrowing.counted(self.dialogue, layout.TABLE, scope, helpers)
        return [each._asdict() for each in counted]
