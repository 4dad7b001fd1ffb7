"""What conntrack holds in one netns: flows and expectations by helper, and how full its table is.

Read only: revoking a helper from a flow is the affair of ``payment``.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from ctherd.netlink import ctnetlink
from ctherd.netlink.ctnetlink import Statistics
from ctherd.netlink.dialogue import Dialogue, Question
from ctherd.netns.enter import entered

_FLOWS: Final = Question(
    ctnetlink.GET_FLOWS, ctnetlink.ALL_FAMILIES, ctnetlink.assigned_a_helper(), "list flows"
)
_EXPECTATIONS: Final = Question(
    ctnetlink.GET_EXPECTATIONS, ctnetlink.ALL_FAMILIES, b"", "list expectations"
)
_STATISTICS: Final = Question(
    ctnetlink.GET_STATISTICS, ctnetlink.ALL_FAMILIES, b"", "read the conntrack statistics"
)


class FlowCount(NamedTuple):
    """How many flows have a helper now, and how many connections it expects of them."""

    flows: int
    expectations: int


def live_flows(dialogue: Dialogue) -> Mapping[str, FlowCount]:
    """Count flows and expectations of each helper in the netns of *dialogue*, whoever assigned it.

    Shape: keys are the kernel's names. A flow that inherited its helper from an expectation (the
    H.245 channel of a Q.931 call) was not assigned one and is not counted; what it expects is.
    Raises: DataplaneError, also where the kernel has no ctnetlink.
    """
    flows: Counter[str] = Counter(map(ctnetlink.helper_of_flow, dialogue.dump_any(_FLOWS)))
    expected = expectations(dialogue)
    helpers = (flows.keys() | expected.keys()) - {""}
    return {each: FlowCount(flows[each], expected.get(each, 0)) for each in sorted(helpers)}


def expectations(dialogue: Dialogue) -> Mapping[str, int]:
    """Count what each helper expects in the netns of *dialogue*, by the kernel's names.

    Raises: DataplaneError, also where the kernel has no ctnetlink.
    """
    found = Counter(map(ctnetlink.helper_of_expectation, dialogue.dump_any(_EXPECTATIONS)))
    del found[""]
    return found


def table_load(dialogue: Dialogue) -> Statistics:
    """Return how many flows the netns of *dialogue* tracks, and how many it may.

    Raises: DataplaneError, also where the kernel has no ctnetlink.
    """
    return ctnetlink.statistics(dialogue.ask_any(_STATISTICS))


def expectation_limit(proc: Path = Path("/proc")) -> int | None:
    """Return how many expectations the kernel keeps in all; None if it does not say."""
    try:
        return int((proc / "sys/net/netfilter/nf_conntrack_expect_max").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def picks_up_connections(netns_fd: int, proc: Path = Path("/proc")) -> bool:
    """Tell whether a netns tracks TCP connections that it did not see opened; by default it does.

    Raises: OSError if the netns may not be entered.
    """
    with entered(netns_fd):
        try:
            value = (proc / "sys/net/netfilter/nf_conntrack_tcp_loose").read_text(encoding="ascii")
        except FileNotFoundError:
            return True
    return value.strip() != "0"
