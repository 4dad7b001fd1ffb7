"""Reads everything in a netns that decides whether a helper works; nothing is judged here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ctherd.dataplane.circumstances import read_circumstances
from ctherd.dataplane.conntrack import expectation_limit, expectations, table_load
from ctherd.dataplane.finding import Finding
from ctherd.dataplane.iptables.dataplane import IptablesDataplane
from ctherd.dataplane.iptables.variant import Variant
from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.observe import read_contents, read_table
from ctherd.dataplane.survey import survey
from ctherd.errors import CtherdError
from ctherd.model.catalog import Family, Protocol
from ctherd.model.evidence import Circumstances
from ctherd.model.observation import Live, Observation, Ownership
from ctherd.netlink import nf_tables_read as read
from ctherd.netlink.ctnetlink import Statistics
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import Operation, object_table
from ctherd.netns.directory import NetnsDirectory
from ctherd.ports import ObserveRequest
from ctherd.verify.target import Target

_RAW = -300


@dataclass(frozen=True, slots=True)
class Place:
    """Where our assignments live, as the kernel has it.

    Shape: *problem* says why there is nothing of ours, "" if there is; *hooks* are the priorities
    at which assignments happen, by chain; *families* as in Observation.
    """

    problem: str = ""
    live: Live = field(default_factory=dict)
    families: Mapping[tuple[str, Protocol], frozenset[Family]] = field(default_factory=dict)
    damage: tuple[str, ...] = ()
    hooks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """One netns. Shape: *expected* of *expectation_limit* expectations are there, None: unknown."""

    place: Place
    findings: tuple[Finding, ...]
    load: Statistics
    expected: int
    expectation_limit: int | None
    circumstances: Circumstances


def look(directory: NetnsDirectory, target: Target) -> Seen:
    """Read the netns of *target*.

    Raises: CtherdError, also where there is no such netns; OSError if it may not be entered.
    """
    namespace = directory.open(target.netns)
    try:
        dialogue = Dialogue(namespace.transport, target.netns)
        with directory.held(target.netns) as fd:
            ours = target.our_chain
            return Seen(
                _place(directory, dialogue, target),
                survey(dialogue, fd, is_our_chain=lambda chain: chain == ours),
                table_load(dialogue),
                sum(expectations(dialogue).values()),
                expectation_limit(),
                read_circumstances(dialogue, namespace.cookie, fd, our_chain=ours),
            )
    finally:
        namespace.close()


def _place(directory: NetnsDirectory, dialogue: Dialogue, target: Target) -> Place:
    if target.variant is None:
        return _table(dialogue, target)
    return _chains(directory, target.variant, target)


def _table(dialogue: Dialogue, target: Target) -> Place:
    # Not by the dataplane: to it a table that the agent's socket has claimed is somebody else's.
    table = read_table(dialogue)
    if table is None:
        return Place(f"there is no table inet {layout.TABLE}")
    if target.tag is None or layout.tag_of(table.comment) != target.tag:
        return Place(f"table inet {layout.TABLE} does not bear our mark")
    contents = read_contents(dialogue, table, target.scope)
    chains = map(read.chain, dialogue.dump(Operation.GETCHAIN, object_table(layout.TABLE)))
    assigning = {each.name for each in layout.CHAINS}
    hooks = {
        each.name: each.priority
        for each in chains
        if each.table == layout.TABLE and each.name in assigning and each.priority is not None
    }
    return Place("", contents.live, contents.families, tuple(contents.damage), hooks)


def _chains(directory: NetnsDirectory, variant: Variant, target: Target) -> Place:
    dataplane = IptablesDataplane(directory, variant)
    dataplane.narrow(target.scope)
    try:
        (seen,) = dataplane.observe([ObserveRequest(target.netns, target.tag)])
    finally:
        dataplane.release([target.netns])
    if isinstance(seen, CtherdError):
        raise seen
    if not isinstance(seen, Observation) or seen.ownership is Ownership.ABSENT:
        return Place("there is no chain of ours in the raw tables")
    if seen.ownership is Ownership.FOREIGN:
        return Place(seen.holder)
    hooks = {"PREROUTING": _RAW, "OUTPUT": _RAW} if seen.live else {}
    return Place("", seen.live, seen.families, seen.damage, hooks)
