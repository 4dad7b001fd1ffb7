"""A survey of what others have in one netns that bears on helpers; it judges, and touches nothing.

Our own table is left out: whether it is as planned is the planner's affair.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ctherd.dataplane import survey_legacy, survey_rules
from ctherd.dataplane.finding import Finding, FindingKind, Place, nft_delete
from ctherd.dataplane.iptables.names import looks_like_ours
from ctherd.dataplane.iptables.variant import TABLE
from ctherd.dataplane.nftables import layout
from ctherd.dataplane.ruleset import Ruleset, TableId, read_ruleset
from ctherd.dataplane.survey_rules import family_name
from ctherd.netlink import nf_tables as nft
from ctherd.netlink.dialogue import Dialogue

_OURS: Final = TableId(nft.NFPROTO_INET, layout.TABLE)


def survey(
    dialogue: Dialogue,
    netns_fd: int,
    *,
    proc: Path = Path("/proc"),
    is_our_chain: Callable[[str], bool] = looks_like_ours,
) -> tuple[Finding, ...]:
    """Return what others have in the netns, which *dialogue* and *netns_fd* both lead to.

    Shape: *is_our_chain* tells which chain of the raw tables is left out.
    Raises: DataplaneError from nf_tables; OSError if the netns may not be entered.
    """
    ruleset = read_ruleset(dialogue, _OURS)
    found = (*survey_rules.find(ruleset), *survey_legacy.find(netns_fd, proc))
    return (
        *_lookalikes(ruleset),
        *(
            each
            for each in found
            if each.place.table != TABLE or not is_our_chain(each.place.chain)
        ),
    )


def _lookalikes(ruleset: Ruleset) -> Iterator[Finding]:
    for table, found in ruleset.tables.items():
        marked = bool(layout.tag_of(found.comment))
        if marked or table.name == layout.TABLE:
            family = family_name(table)
            bears = "a mark like ctherd's" if marked else "ctherd's name"
            yield Finding(
                FindingKind.LOOKALIKE,
                Place(family, table.name),
                f"bears {bears}, but ctherd's is table inet {layout.TABLE} alone; it is not obeyed",
                remove=nft_delete("table", family, table.name),
            )
