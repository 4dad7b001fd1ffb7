"""Messages of ctnetlink that ask for flows, expectations and counts, and their answers as values.

Nothing here changes a flow. Source: linux/netfilter/nfnetlink_conntrack.h, nf_conntrack_common.h.
"""

from typing import Final, NamedTuple

from ctherd.netlink.wire import Message, attributes, number, text, u32

GET_FLOWS: Final = 1 << 8 | 1
"""NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET."""

GET_STATISTICS: Final = 1 << 8 | 5
"""NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET_STATS."""

GET_EXPECTATIONS: Final = 2 << 8 | 1
"""NFNL_SUBSYS_CTNETLINK_EXP, IPCTNL_MSG_EXP_GET."""

ALL_FAMILIES: Final = 0

_IPS_HELPER: Final = 1 << 13
_CTA_STATUS: Final = 3
_CTA_HELP: Final = 5
_CTA_STATUS_MASK: Final = 26
_CTA_HELP_NAME: Final = 1
_CTA_EXPECT_HELP_NAME: Final = 6
_CTA_STATS_GLOBAL_ENTRIES: Final = 1
_CTA_STATS_GLOBAL_MAX_ENTRIES: Final = 2

_HEADER: Final = 4  # nfgenmsg precedes the attributes


class Statistics(NamedTuple):
    """How full a netns' conntrack table is. Shape: *limit* 0 is unknown (before Linux 4.18)."""

    entries: int
    limit: int


def assigned_a_helper() -> bytes:
    """Encode the body that selects the flows which were assigned a helper.

    Kernels that do not know the mask ignore it and send every flow: read the helper back. So must
    one anyway, as the status bit outlives the helper.
    """
    return u32(_CTA_STATUS, _IPS_HELPER) + u32(_CTA_STATUS_MASK, _IPS_HELPER)


def helper_of_flow(message: Message) -> str:
    """Return the kernel's name of a flow's helper, or "" if it has none (any more)."""
    found = attributes(message.body, _HEADER)
    inner = attributes(found[_CTA_HELP]) if _CTA_HELP in found else {}
    return text(inner.get(_CTA_HELP_NAME, b""))


def helper_of_expectation(message: Message) -> str:
    """Return the kernel's name of the helper that expects, or "" if no helper does."""
    return text(attributes(message.body, _HEADER).get(_CTA_EXPECT_HELP_NAME, b""))


def statistics(message: Message) -> Statistics:
    """Decode the answer to GET_STATISTICS.

    Source: enum ctattr_stats_global.
    """
    found = attributes(message.body, _HEADER)
    return Statistics(
        number(found.get(_CTA_STATS_GLOBAL_ENTRIES, b"")),
        number(found.get(_CTA_STATS_GLOBAL_MAX_ENTRIES, b"")),
    )
