"""What Neutron's L3 agent extension for conntrack helpers leaves in the raw tables.

One chain of it, which PREROUTING reaches by a chain of the agent, and in that a jump for each
helper to a chain of its own, named by the first characters of its id::

    -A neutron-l3-agent-PREROUTING -j neutron-l3-agent-cth
    -A neutron-l3-agent-cth -j neutron-l3-agent-cth-0b7bd3c
    -A neutron-l3-agent-cth-0b7bd3c -p tcp -m tcp --dport 21 -j CT --helper ftp

Source: neutron/agent/l3/extensions/conntrack_helper.py.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ctherd.dataplane.iptables import listing
from ctherd.dataplane.iptables.change import Line
from ctherd.dataplane.iptables.listing import Listing
from ctherd.dataplane.iptables.variant import TABLE
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import HELPERS, Protocol
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.dialogue import Dialogue, Question
from ctherd.netlink.nf_tables import Operation

_INFIX: Final = b"-cth"
_CHAIN: Final = re.compile(r".+-cth(?:-.{1,7})?")
_RULE: Final = re.compile(
    r"-p (tcp|udp) -m (?:tcp|udp) --dport (\d+)(?: -m comment --comment (?:\S+|\".*\"))?"
    r" -j CT --helper (\S+)"
)
_EVERY_FAMILY: Final = 0
_KNOWN: Final = frozenset(helper.name for helper in HELPERS)


@dataclass(frozen=True, slots=True)
class Found:
    """What the extension left in one family.

    Shape: *unknown* are rules in its chains that it never writes.
    """

    chains: tuple[str, ...] = ()
    assignments: tuple[AssignmentKey, ...] = ()
    unknown: tuple[str, ...] = ()


def may_have_chains(dialogue: Dialogue) -> bool:
    """Tell, without running a program, whether nf_tables may have chains of the extension's.

    Shape: only the rules of raw tables are asked for, as each of its chains has or reaches one: a
    router has scores of other chains.
    Raises: DataplaneError; OSError.
    """
    rules = Question(nft.kind(Operation.GETRULE), _EVERY_FAMILY, nft.table_name(TABLE), "GETRULE")
    return dialogue.dump_mentions(rules, _INFIX)


def find(table: Listing) -> Found:
    """Return what the extension left in *table*."""
    chains = tuple(filter(_CHAIN.fullmatch, table.chains))
    assignments: list[AssignmentKey] = []
    unknown: list[str] = []
    for chain, text in table.rules:
        if chain not in chains or listing.target_of(text) in chains:
            continue
        key = _assignment(text)
        if key is None:
            unknown.append(f"-A {chain} {text}")
        else:
            assignments.append(key)
    return Found(chains, tuple(dict.fromkeys(assignments)), tuple(unknown))


def _assignment(text: str) -> AssignmentKey | None:
    match = _RULE.fullmatch(text)
    if match is None or match[3] not in _KNOWN:
        return None
    return AssignmentKey(Protocol(match[1]), int(match[2]), match[3])


def removal(table: Listing, found: Found) -> Iterator[Line]:
    """Yield the lines that remove *found* from *table*, and nothing else."""
    for chain, text in table.rules:
        if listing.target_of(text) in found.chains:
            yield Line(f"-D {chain} {text}")
    for chain in found.chains:
        yield Line(f"-F {chain}")
    for chain in found.chains:
        yield Line(f"-X {chain}")
