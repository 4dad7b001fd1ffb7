"""What this very kernel can do, found by doing it in a scratch netns."""

from collections.abc import Iterator
from typing import NamedTuple

from ctherd.dataplane.nftables import layout
from ctherd.dataplane.nftables.observe import FAMILIES
from ctherd.model.catalog import HELPERS, Family, Helper, Protocol
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import nf_tables_read as read
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.nf_tables import Operation, TableFlag
from ctherd.netns.directory import Namespace


class Probed(NamedTuple):
    """What the kernel answered for one helper on one protocol.

    Shape: *families* is empty where it refused, with *words*, its own.
    """

    helper: Helper
    protocol: Protocol
    families: frozenset[Family]
    words: str


def can_guard(scratch: Namespace) -> bool:
    """Tell whether a table can be owned and outlive its owner (Linux 6.9); closes *scratch*."""
    try:
        guard = TableFlag.OWNER | TableFlag.PERSIST
        table = nft.new_table(layout.TABLE, guard, "", exclusive=True)
        return not Dialogue(scratch.transport, scratch.name).commit([table], None)
    finally:
        scratch.close()


def probe_helpers(scratch: Namespace) -> Iterator[Probed]:
    """Create every helper of the catalog in *scratch*, and close it.

    Where helpers are modules, the kernel loads them to answer.
    """
    dialogue = Dialogue(scratch.transport, scratch.name)
    try:
        dialogue.commit([nft.new_table(layout.TABLE, TableFlag(0), "", exclusive=True)], None)
        for helper in HELPERS:
            for protocol in helper.protocols:
                yield _probe(dialogue, helper, protocol)
    finally:
        scratch.close()


def _probe(dialogue: Dialogue, helper: Helper, protocol: Protocol) -> Probed:
    name = layout.object_name(helper.name, protocol)
    request = nft.new_ct_helper(layout.TABLE, name, helper.name, protocol.number)
    errors = dialogue.commit([request], None)
    if errors:
        return Probed(helper, protocol, frozenset(), errors[0].in_words)
    for message in dialogue.dump(Operation.GETOBJ, nft.object_table(layout.TABLE)):
        found = read.helper_object(message)
        if found is not None and found.name == name:
            return Probed(helper, protocol, FAMILIES[found.l3_protocol], "")
    return Probed(helper, protocol, frozenset(), "the kernel did not keep the object")
