"""Rules of iptables-legacy that bear on helpers: only its own program can read them.

The kernel says without a program whether a raw table exists at all, so that on most routers none
is run. Source: iptables-extensions(8), targets CT and NOTRACK.
"""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from ctherd import process
from ctherd.dataplane.finding import Finding, FindingKind, Place, PortRange, Scope
from ctherd.dataplane.reach import reachable
from ctherd.errors import CtherdError
from ctherd.netns.enter import entered

_TABLE: Final = "raw"
_BASES: Final = ("PREROUTING", "OUTPUT")
_PRIORITY: Final = -300
_SINGLE: Final = {"-p": "protocol", "-i": "interface", "-o": "interface", "--helper": "helper"}
_SOURCE_PORTS: Final = ("--sport", "--sports")
_PORTS: Final = ("--dport", "--dports", "--ports")


class Variant(NamedTuple):
    """One of the two families. Shape: *names* is below /proc/thread-self/net."""

    family: str
    names: str
    save: str
    change: str


_VARIANTS: Final = (
    Variant("ip", "ip_tables_names", "iptables-legacy-save", "iptables-legacy"),
    Variant("ip6", "ip6_tables_names", "ip6tables-legacy-save", "ip6tables-legacy"),
)


def find(netns_fd: int, proc: Path) -> Iterator[Finding]:
    """Yield what the raw tables of iptables-legacy in the netns do to helpers."""
    for variant in _VARIANTS:
        if _has_raw_table(netns_fd, proc, variant):
            yield from _read(netns_fd, variant)


def _has_raw_table(netns_fd: int, proc: Path, variant: Variant) -> bool:
    with entered(netns_fd):
        try:
            names = (proc / "thread-self/net" / variant.names).read_text(encoding="utf-8")
        except OSError:
            # No such file: this kernel was built without iptables-legacy.
            return False
    return _TABLE in names.split()


def _read(netns_fd: int, variant: Variant) -> Iterator[Finding]:
    try:
        saved = process.run([variant.save, "-t", _TABLE], netns_fd=netns_fd).stdout
    except CtherdError as error:
        yield Finding(
            FindingKind.UNREADABLE,
            Place(variant.family, _TABLE, legacy=True),
            f"an iptables-legacy raw table is there, but cannot be read: {error.what}",
        )
        return
    yield from parse(saved, variant)


def parse(saved: str, variant: Variant = _VARIANTS[0]) -> Iterator[Finding]:
    """Yield the findings in what iptables-legacy-save printed."""
    rules = [shlex.split(line) for line in saved.splitlines() if line.startswith("-A ")]
    reached = _reached(rules)
    for words in rules:
        if words[1] in reached:
            yield from _judge(words, variant)


def _reached(rules: Sequence[Sequence[str]]) -> set[str]:
    jumps: dict[str, set[str]] = defaultdict(set)
    for words in rules:
        jumps[words[1]] |= {
            following for word, following in pairwise(words) if word in ("-j", "-g")
        }
    return set().union(*(reachable(base, lambda name: jumps.get(name, ())) for base in _BASES))


def _judge(words: Sequence[str], variant: Variant) -> Iterator[Finding]:
    options = _options(words)
    place = Place(variant.family, _TABLE, words[1], legacy=True)
    remove = shlex.join([variant.change, "-t", _TABLE, "-D", *words[1:]])
    remove = remove if remove.isprintable() else ""
    scope = _scope(options)
    helper = options.get("helper", "")
    if options["target"] == "CT" and helper:
        yield Finding(
            FindingKind.HELPER_FIRST,
            place,
            f"gives helper {helper} to {scope} at {_PRIORITY}: before ctherd, and the first "
            "assignment wins",
            scope,
            helper,
            remove,
        )
    if options["target"] == "NOTRACK" or "notrack" in options:
        yield Finding(
            FindingKind.UNTRACKED,
            place,
            f"keeps {scope} from conntrack at {_PRIORITY}: no helper can see it",
            scope,
            remove=remove,
        )


def _options(words: Sequence[str]) -> dict[str, str]:
    """Return what is understood of a rule; what is negated is left out, which widens it."""
    found = {"target": ""}
    for before, word, following in zip(words, words[1:], [*words[2:], ""], strict=False):
        if before == "!":
            continue
        if word in _SINGLE:
            found[_SINGLE[word]] = following
        elif word in _PORTS:
            found["ports"] = following
        elif word in _SOURCE_PORTS:
            found["source ports"] = following
        elif word == "-j":
            found["target"] = following
        elif word == "--notrack":
            found["notrack"] = ""
    return found


def _scope(options: Mapping[str, str]) -> Scope:
    ports = options.get("ports") or options.get("source ports", "")
    return Scope(
        options.get("protocol", ""),
        tuple(_range(each) for each in ports.split(",") if each),
        options.get("interface", ""),
    )


def _range(text: str) -> PortRange:
    first, _, last = text.partition(":")
    return PortRange(int(first or 0), int(last or first))
