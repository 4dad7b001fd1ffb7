"""What chains that narrow helpers cost an established packet that is forwarded.

The router of the figure before, with ten assignments, in turns with everything that the policy can
narrow and with nothing of it. The packets belong to one flow that got no helper, and that conntrack
was told to take for answered: else every packet of it were that of a new connection. A few
interfaces are excluded, and none of them is theirs.

It does not say what the first packet of a connection costs: there the rules are gone through, and
with anti-spoofing a route is looked up.
"""

from bench import herd
from bench.flows import track
from bench.namespaces import crowd
from bench.packets import FIRST_SOURCE_PORT, FLOW_FROM, FLOW_TO, compared, frame, joined, pinned
from bench.row import Row
from bench.sender import Burst
from bench.size import Size
from bench.world import no_journal, opened
from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.model.document import document
from ctherd.model.safe_scope import WIDE, AntiSpoofing, SafeScope
from ctherd.netlink import wire
from ctherd.reconcile.reconciler import Reconciler

_ANSWERED = 1 << 1 | 1 << 2 | 1 << 3  # IPS_SEEN_REPLY, IPS_ASSURED, IPS_CONFIRMED
_NARROW = SafeScope(True, {}, AntiSpoofing.STRICT, ("qg-*", "ha-*", "wan0"))


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    with crowd(3) as (path, names), pinned(), joined(path, names) as way:
        router = names[1]
        with opened(path, [router]) as world:
            dataplane = NftablesDataplane(world)
            reconciler = Reconciler(dataplane, no_journal(), Guard(Policy()))
            reconciler.accept([document(router, router, herd.assignments(0, size.assignments))])

            def become(narrowed: bool) -> None:
                dataplane.narrow(_NARROW if narrowed else WIDE)
                for report in reconciler.reconcile():
                    if report.error or report.refused:
                        raise report.error or AssertionError(report)

            one = frame(way.mac, FIRST_SOURCE_PORT)

            def establish() -> None:
                dialogue = dataplane.dialogue(router)
                client, server = ((str(each), port) for each, port in (FLOW_FROM, FLOW_TO))
                track(dialogue, client, server, 17, wire.u32(3, _ANSWERED))

            burst = Burst([one] * size.packets)
            what = "packet, established, narrowed"
            return compared(what, 1.05, size, become, way, burst, establish)
