"""Routers on iptables hosts: a reconcile against the programs that it needs, and against scripts.

N fresh namespaces with ten assignments each, for both variants; every side gets its own. *Restores*
are the two ``iptables-restore`` that a router needs, one for each family, with the very lines that
ctherd gives them, started inside the namespace by the same code but with nothing around it;
*saves* are the two ``iptables-save``. *Script* is one shell script with ``ip netns exec NAME``
before each restore. ctherd's side is a full reconcile from empty, as in ``reconcile_empty``, record
on disk and reading back included; then one with nothing changed; then one assignment, and ten at
once, added to each of N. The nf_tables dataplane does the same in the same run. Ratios are medians
of the rounds' ratios.

It does not say what a busy raw table costs: the programs read all of it each time. Where one exists
already, iptables-legacy has to save it before it restores, which a fresh namespace spares it.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench import herd
from bench.namespaces import PREFIX
from bench.reconcile_empty import reconcile_all
from bench.row import Row
from bench.size import Size
from bench.timing import median_ratio, timed_s
from bench.world import fresh_journal
from ctherd import process
from ctherd.dataplane.iptables import rule
from ctherd.dataplane.iptables.dataplane import IptablesDataplane
from ctherd.dataplane.iptables.names import names_of
from ctherd.dataplane.iptables.side import jump
from ctherd.dataplane.iptables.variant import BASES, Variant
from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.guard.decide import Guard
from ctherd.guard.policy import Policy
from ctherd.lab.cleanup import namespaces
from ctherd.lab.namespace import NETNS_DIR
from ctherd.model.catalog import Family
from ctherd.model.document import Document, NetnsName, document
from ctherd.netns.directory import NetnsDirectory
from ctherd.ports import Dataplane, Journal
from ctherd.reconcile.reconciler import Reconciler
from ctherd.reconcile.tag import drawn_tag

_SWEEPS: Final = 3


@dataclass(frozen=True, slots=True)
class Laps:
    """Seconds for all routers together; *restores*, *saves* and *script* are not ctherd's."""

    restores: float
    saves: float
    script: float
    empty: float
    unchanged: float
    one: float
    ten: float


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    names = [NetnsName(f"{PREFIX}-{index}") for index in range(size.iptables_routers)]
    rows: list[Row] = []
    rounds = range(size.iptables_rounds + 1)
    for variant in Variant:
        rows += _rows(size, variant, [_round(size, names, variant) for _ in rounds][1:])
    nft = [_nftables_s(size, names) for _ in rounds]
    per_router = 1e3 / len(names)
    return [*rows, Row("nftables, from empty, per router", median(nft[1:]) * per_router, "ms")]


def _rows(size: Size, variant: Variant, laps: Sequence[Laps]) -> list[Row]:
    what = f"{variant}, {size.iptables_routers} × {size.assignments}"

    def column(name: str) -> list[float]:
        return [getattr(lap, name) for lap in laps]

    def ratio(ours: str, theirs: str) -> float:
        return median_ratio(column(ours), column(theirs))

    def per_router_ms(name: str) -> float:
        return median(column(name)) * 1e3 / size.iptables_routers

    # Where the kernel tells that nothing changed, no program is run at all.
    unchanged = 0.05 if variant is Variant.NFT else 1.0
    return [
        Row(f"{what} from empty ÷ two restores", ratio("empty", "restores"), "×", 1.2),
        Row(f"{what} from empty ÷ script of restores", ratio("empty", "script"), "×", 1.2),
        Row(f"{what} unchanged ÷ two saves", ratio("unchanged", "saves"), "×", unchanged),
        Row(f"{what}, ten added at once ÷ one added", ratio("ten", "one"), "×", 1.5),
        *(Row(f"{what}, {name}, per router", per_router_ms(name), "ms") for name in Laps.__slots__),
    ]


def _round(size: Size, names: Sequence[NetnsName], variant: Variant) -> Laps:
    documents = herd.documents(names, size.assignments)
    directory = NetnsDirectory(NETNS_DIR)
    with namespaces(names):
        restores = _in_each(directory, names, lambda at: _restores(variant, documents[at]))
        saves = _in_each(directory, names, lambda _: _saves(variant))
    with namespaces(names):
        script = timed_s(lambda: _script(names, variant, documents))
    dataplane = IptablesDataplane(directory, variant)
    with namespaces(names), fresh_journal() as journal:
        reconciler = _reconciler(dataplane, journal)
        dataplane.identify(names)
        empty = timed_s(lambda: reconcile_all(reconciler, documents))
        reconciler.reconcile()
        assert not reconciler.reconcile()
        unchanged = median(timed_s(reconciler.reconcile) for _ in range(_SWEEPS))
        one = _added_s(reconciler, documents, 1)
        ten = _added_s(reconciler, documents, 10)
        dataplane.release(names)
    return Laps(restores, saves, script, empty, unchanged, one, ten)


def _nftables_s(size: Size, names: Sequence[NetnsName]) -> float:
    documents = herd.documents(names, size.assignments)
    dataplane = NftablesDataplane(NetnsDirectory(NETNS_DIR))
    with namespaces(names), fresh_journal() as journal:
        reconciler = _reconciler(dataplane, journal)
        dataplane.identify(names)
        taken_s = timed_s(lambda: reconcile_all(reconciler, documents))
        dataplane.release(names)
    return taken_s


def _reconciler(dataplane: Dataplane, journal: Journal) -> Reconciler:
    return Reconciler(dataplane, journal, Guard(Policy()))


def _added_s(reconciler: Reconciler, documents: Sequence[Document], count: int) -> float:
    """Add *count* assignments to every router at once; take them away again, untimed."""
    more = []
    for index, each in enumerate(documents):
        fresh = [*each.assignments.values(), *herd.assignments(10_000 + index, count)]
        more.append(document(each.router, each.netns, fresh))
    taken_s = timed_s(lambda: reconcile_all(reconciler, more))
    reconciler.accept(documents)
    reconciler.reconcile()
    return taken_s


# -- what is not ctherd ----------------------------------------------------------------------------

_Commands = Sequence[tuple[list[str], str | None]]


def _in_each(
    directory: NetnsDirectory, names: Sequence[NetnsName], commands: Callable[[int], _Commands]
) -> float:
    """Return the seconds that these commands take, started inside each netns."""
    prepared = [(directory.open_fd(name), commands(index)) for index, name in enumerate(names)]

    def run_all() -> None:
        for netns_fd, todo in prepared:
            for argv, text in todo:
                process.run(argv, input=text, netns_fd=netns_fd)

    taken_s = timed_s(run_all)
    for netns_fd, _ in prepared:
        os.close(netns_fd)
    return taken_s


def _restores(variant: Variant, declared: Document) -> _Commands:
    return [
        ([variant.program(family, "restore"), "--noflush", "--wait", "5"], text)
        for family, text in _texts(declared).items()
    ]


def _saves(variant: Variant) -> _Commands:
    return [([variant.program(family, "save"), "-t", "raw"], None) for family in Family]


def _texts(declared: Document) -> dict[Family, str]:
    names = names_of(drawn_tag())
    texts = {}
    for family in Family:
        rules = [
            f"-A {names.chain} {rule.render(each, names.comment)}"
            for each in rule.rules_for(declared.desired, family)
        ]
        jumps = [f"-A {base} {jump(names)}" for base in BASES]
        lines = ["*raw", f"-N {names.chain}", *rules, *jumps, "COMMIT", ""]
        texts[family] = "\n".join(lines)
    return texts


def _script(names: Sequence[NetnsName], variant: Variant, documents: Sequence[Document]) -> None:
    """Do the same as ``_restores`` by `ip netns exec`, in one shell script."""
    lines = []
    for name, declared in zip(names, documents, strict=True):
        for family, text in _texts(declared).items():
            program = variant.program(family, "restore")
            lines.append(f"ip netns exec {name} {program} --noflush <<'END'\n{text}END")
    process.run(["sh", "-e"], input="\n".join(lines), timeout_s=300)
