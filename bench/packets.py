"""What 1,000 assignments cost a packet that is forwarded and matches none of them.

A client, a router and a server joined by veth. The router has conntrack on, by a ruleset of its own
that accepts what is established. UDP packets are sent from the client by one thread, pinned to one
processor, in whose context they are forwarded; the clock runs from the first packet to the last, so
the cost of sending is part of both sides of the ratio. Slices of equal numbers of packets are taken
in turns, with our table of 1,000 assignments and without any, in the order A B B A; the ratio is
the median of the ratios of neighbours. *Established*: all packets belong to one flow, which
conntrack knows. *New flow*: each has a source port of its own, and conntrack is emptied between
slices. After each slice the packets that left the router are counted: a lost one is a failure.

It does not say what a packet costs that gets a helper: the kernel then reads its payload.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median
from typing import Final

from bench import herd
from bench.namespaces import crowd
from bench.row import Row
from bench.sender import Burst, packet_socket, udp_frame
from bench.size import Size
from bench.timing import median_ratio
from bench.world import fresh_journal, opened
from ctherd import process
from ctherd.errors import CtherdError
from ctherd.model.document import NetnsName, document
from ctherd.netns.enter import entered
from ctherd.ports import Revoked, Settled
from ctherd.process import run
from ctherd.reconcile.reconciler import Reconciler

_CLIENT: Final = IPv4Address("192.0.2.2")
_SERVER: Final = IPv4Address("198.51.100.2")
_UNASSIGNED_PORT: Final = 9
FIRST_SOURCE_PORT: Final = 1024
FLOW_FROM: Final = (_CLIENT, FIRST_SOURCE_PORT)
FLOW_TO: Final = (_SERVER, _UNASSIGNED_PORT)
_RULESET: Final = """
table inet own {
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
  }
}
"""
# Whatever reaches the server is for somebody else, so it ends there at once.
_NOBODY: Final = "02:00:00:00:00:99"


class PacketsLost(CtherdError):
    """Not every packet left the router, so the time says nothing."""

    code = "packets-lost"


@dataclass(frozen=True, slots=True)
class Way:
    """From the client to the server: the router's netns and first hop, and the sending socket."""

    router: int
    sender: int
    mac: bytes


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    with crowd(3) as (path, names), pinned(), joined(path, names) as way:
        router = names[1]
        with opened(path, [router]) as world, fresh_journal() as journal:
            reconciler = world.reconciler(journal)
            kinds = {
                "established": [FIRST_SOURCE_PORT] * size.packets,
                "new flow": range(FIRST_SOURCE_PORT, FIRST_SOURCE_PORT + size.packets),
            }
            rows: list[Row] = []
            for kind, ports in kinds.items():
                burst = Burst([frame(way.mac, port) for port in ports])
                toggled = _Router(reconciler, router, size.many)
                what = f"packet, {kind}, {size.many} assignments"
                rows += compared(what, 1.15, size, toggled.become, way, burst)
            return rows


class _Router:
    """A router that has all assignments or none."""

    def __init__(self, reconciler: Reconciler, netns: NetnsName, count: int) -> None:
        self._reconciler = reconciler
        self._netns = netns
        self._all = [each for each in herd.assignments(0, count) if each.port != _UNASSIGNED_PORT]

    def become(self, assigned: bool) -> None:
        """Assign all, or take all away; nothing has a helper, so nothing is owed to any flow."""
        wanted = document(self._netns, self._netns, self._all if assigned else [])
        self._reconciler.accept([wanted])
        for report in self._reconciler.reconcile():
            if report.error or report.refused:
                raise report.error or AssertionError(report)
        self._reconciler.settle(
            Revoked(each.netns, each.cookie, tuple(map(Settled, each.owed)))
            for each in self._reconciler.owing()
        )


def compared(
    what: str,
    bound: float,
    size: Size,
    become: Callable[[bool], None],
    way: Way,
    burst: Burst,
    prepare: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Return what a packet costs where the router did *become* true, and where it became false.

    Shape: *prepare* is called before each slice, when conntrack is empty.
    """
    with_us: list[float] = []
    without: list[float] = []
    for number in range(size.slices + 2):
        for on in (False, True) if number % 2 else (True, False):
            become(on)
            taken_s = _slice_s(way, burst, size.packets, prepare)
            if number > 1:
                (with_us if on else without).append(taken_s)
    per_packet = 1e9 / size.packets
    return [
        Row(f"{what}: with ÷ without", median_ratio(with_us, without), "×", bound),
        Row(f"{what}: with", median(with_us) * per_packet, "ns"),
        Row(f"{what}: without", median(without) * per_packet, "ns"),
    ]


def _slice_s(way: Way, burst: Burst, packets: int, prepare: Callable[[], None]) -> float:
    run(["conntrack", "-F"], netns_fd=way.router)
    prepare()
    before = _forwarded(way.router)
    started_s = time.perf_counter()
    burst.send(way.sender)
    taken_s = time.perf_counter() - started_s
    if (lost := packets - (_forwarded(way.router) - before)) > 0:
        raise PacketsLost(f"{lost} of {packets} packets did not leave the router")
    return taken_s


def _forwarded(router: int) -> int:
    """Return how many packets the router sent to the server's side."""
    with entered(router):
        for line in Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines():
            name, _, counters = line.strip().partition(":")
            if name == "outside":
                return int(counters.split()[9])
    raise AssertionError("no interface outside")


def frame(mac: bytes, port: int) -> bytes:
    return udp_frame(mac, (_CLIENT, port), (_SERVER, _UNASSIGNED_PORT))


@contextmanager
def pinned() -> Iterator[None]:
    """Stay on one processor: a packet is forwarded where it is sent."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def joined(path: Path, names: list[NetnsName]) -> Iterator[Way]:
    """Join client, router and server by veth; the router forwards and has its own ruleset."""
    client, router, server = (os.open(path / name, os.O_RDONLY) for name in names)
    try:
        with entered(router):
            for name in (
                "ipv4/ip_forward",
                "ipv4/conf/all/rp_filter",
                "ipv4/conf/default/rp_filter",
            ):
                Path("/proc/sys/net", name).write_text(f"{int('forward' in name)}\n")
        _ip(router, f"link add inside type veth peer name eth0 netns {_proc(client)}",
            f"link add outside type veth peer name eth0 netns {_proc(server)}",
            "link set inside up", "link set outside up",
            "address add 192.0.2.1/24 dev inside", "address add 198.51.100.1/24 dev outside",
            f"neighbour add {_SERVER} lladdr {_NOBODY} dev outside nud permanent")  # fmt: skip
        _ip(client, "link set eth0 up")
        _ip(server, "link set eth0 up")
        run(["nft", "-f", "-"], input=_RULESET, netns_fd=router)
        with entered(router):
            mac = bytes.fromhex(_address("inside").replace(":", ""))
        with entered(client):
            sender = packet_socket("eth0")
        with sender:
            yield Way(router, sender.fileno(), mac)
    finally:
        for held in (client, router, server):
            os.close(held)


def _proc(fileno: int) -> str:
    return f"/proc/{os.getpid()}/fd/{fileno}"


def _ip(netns_fd: int, *lines: str) -> None:
    process.run(["ip", "-batch", "-"], input="\n".join(lines), netns_fd=netns_fd)


def _address(interface: str) -> str:
    said = run(["ip", "-brief", "link", "show", interface]).stdout
    return said.split()[2]
