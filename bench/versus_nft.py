"""The same state made by ``ip netns exec NAME nft -f FILE``, router by router, as scripts do it.

The files hold what an operator would write, since the grammar of nft has no named maps of helpers:
the same ct helper objects, and one rule for each assignment in both chains. They are written
beforehand, and one shell script loads them. All N namespaces exist, as on a host that has so many
(``ip netns exec`` copies every mount); the script serves the first of them only, and is counted per
router. ctherd's side is a full reconcile of all N from empty, as in ``reconcile_empty``, record on
disk included. Rounds are taken in turns, tables are deleted in between, and the ratio is the median
of the rounds' ratios.

It does not say that nft is slow: most of it is starting two processes and entering a namespace,
each time. On a host with few namespaces a quarter of that falls away.
"""

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench import herd
from bench.namespaces import PREFIX
from bench.reconcile_empty import reconcile_all
from bench.row import Row
from bench.size import Size
from bench.timing import median_ratio, timed_s
from bench.world import World, fresh_journal, opened
from ctherd import process
from ctherd.lab.cleanup import namespaces
from ctherd.lab.namespace import NETNS_DIR
from ctherd.model.document import Document, NetnsName

_TABLE = "ctbench"


def measure(size: Size) -> list[Row]:
    """Measure this figure."""
    # Where `ip netns exec` looks for them.
    names = [NetnsName(f"{PREFIX}-{index}") for index in range(size.routers)]
    served = names[: size.nft_routers]
    with namespaces(names), opened(NETNS_DIR, names) as world, tempfile.TemporaryDirectory() as at:
        documents = herd.documents(names, size.assignments)
        files = [_write(Path(at), document) for document in documents[: size.nft_routers]]
        theirs, ours = [], []
        for number in range(size.rounds + 1):
            theirs_s, ours_s = _nft_s(served, files), _reconcile_s(world, documents)
            if number:
                theirs.append(theirs_s / len(served))
                ours.append(ours_s / len(names))
    what = f"{size.routers} × {size.assignments}"
    return [
        Row(f"{what}: nft ÷ ctherd", median_ratio(theirs, ours), "×", 50, at_least=True),
        Row(f"{what}: nft, per router", median(theirs) * 1e3, "ms"),
        Row(f"{what}: ctherd, per router", median(ours) * 1e3, "ms"),
    ]


def ruleset(document: Document) -> str:
    """Return the state of *document* in the grammar of nft."""
    objects: dict[str, str] = {}
    rules = defaultdict(list)
    for key in document.desired:
        name = f"{key.helper}-{key.protocol}".replace(".", "_")
        objects[name] = f'  ct helper {name} {{ type "{key.helper}" protocol {key.protocol}; }}'
        for chain in ("prerouting", "output"):
            rules[chain].append(f'    {key.protocol} dport {key.port} ct helper set "{name}"')
    chains = [
        f"  chain {chain} {{\n    type filter hook {chain} priority -150;\n"
        + "\n".join(lines)
        + "\n  }"
        for chain, lines in rules.items()
    ]
    return "\n".join([f"table inet {_TABLE} {{", *objects.values(), *chains, "}\n"])


def _write(directory: Path, document: Document) -> Path:
    path = directory / f"{document.netns}.nft"
    path.write_text(ruleset(document), encoding="ascii")
    return path


def _nft_s(names: Sequence[NetnsName], files: Sequence[Path]) -> float:
    load = [f"nft -f {file}" for file in files]
    taken_s = timed_s(lambda: _everywhere(names, load))
    _everywhere(names, [f"nft delete table inet {_TABLE}"] * len(names))
    return taken_s


def _everywhere(names: Sequence[NetnsName], commands: Sequence[str]) -> None:
    """Run a command in each netns, all by one shell script."""
    lines = [
        f"ip netns exec {name} {command}" for name, command in zip(names, commands, strict=True)
    ]
    process.run(["sh", "-e"], input="\n".join(lines), timeout_s=120)


def _reconcile_s(world: World, documents: list[Document]) -> float:
    with fresh_journal() as journal:
        reconciler = world.reconciler(journal)
        taken_s = timed_s(lambda: reconcile_all(reconciler, documents))
    world.clear()
    return taken_s
