"""Reads what evidence depends on: this boot, this netns, and a digest of every rule in it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ctherd import process
from ctherd.dataplane.rule_facts import Facts, TableFacts, in_words, read_facts
from ctherd.errors import CtherdError
from ctherd.model.catalog import Family
from ctherd.model.evidence import Circumstances
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.enter import entered

_BOOT: Final = "sys/kernel/random/boot_id"
_LEGACY: Final[Mapping[Family, tuple[str, str]]] = {
    Family.IPV4: ("ip_tables_names", "iptables-legacy-save"),
    Family.IPV6: ("ip6_tables_names", "ip6tables-legacy-save"),
}
_NAMES = "thread-self/net"


def read_circumstances(
    dialogue: Dialogue,
    cookie: int,
    netns_fd: int,
    *,
    our_chain: str = "",
    proc: Path = Path("/proc"),
) -> Circumstances:
    """Read the circumstances of the netns that *dialogue* and *netns_fd* both lead to.

    Shape: the rules of *our_chain* in the raw tables are left out, as are the elements of our
    maps: assignments beside the one that evidence is about may come and go.
    Raises: DataplaneError; OSError if the netns may not be entered.
    """
    generation = dialogue.generation()
    digest = hashlib.sha256()
    for line in _lines(read_facts(dialogue), our_chain):
        digest.update(line.encode())
    for family, saved in legacy_rules(netns_fd, proc).items():
        kept = (each for each in saved if not our_chain or f"-A {our_chain} " not in each)
        digest.update("\n".join((family, *kept)).encode())
    boot = (proc / _BOOT).read_text(encoding="ascii").strip()
    return Circumstances(boot, cookie, generation, digest.hexdigest()[:32])


def _lines(facts: Facts, our_chain: str) -> list[str]:
    return [
        f"{in_words(table)} {_without_ours(found, our_chain, ours=in_words(table) == _OURS)!r}\n"
        for table, found in sorted(facts.items())
    ]


_OURS: Final = "inet ctherd"


def _without_ours(found: TableFacts, our_chain: str, *, ours: bool) -> TableFacts:
    rules = {chain: each for chain, each in found.rules.items() if chain != our_chain}
    if ours:
        return TableFacts(found.dormant, found.chains, rules)
    return TableFacts(found.dormant, found.chains, rules, found.sets, found.objects)


def legacy_rules(netns_fd: int, proc: Path = Path("/proc")) -> dict[Family, list[str]]:
    """Return what iptables-legacy has in the netns, line by line, without counters and comments.

    Tables that are not there are not asked for: that would make them. Shape: what cannot be read
    says so in its only line.
    Raises: OSError if the netns may not be entered.
    """
    return {
        family: _saved(netns_fd, program)
        for family, (names, program) in _LEGACY.items()
        if _has_tables(netns_fd, proc / _NAMES / names)
    }


def _has_tables(netns_fd: int, names: Path) -> bool:
    with entered(netns_fd):
        try:
            return bool(names.read_text(encoding="utf-8").split())
        except OSError:
            # No such file: this kernel was built without iptables-legacy.
            return False


def _saved(netns_fd: int, program: str) -> list[str]:
    try:
        said = process.run([program], netns_fd=netns_fd).stdout
    except CtherdError as error:
        return [f"cannot be read: {error.what}"]
    tables: dict[str, list[str]] = {}
    for line in said.splitlines():
        if line.startswith("*"):
            lines = tables[line] = [line]
        elif line and not line.startswith("#"):
            lines.append(without_counters(line))
    # They are listed in the order in which they were used first, which means nothing.
    return [line for name in sorted(tables) for line in tables[name]]


def without_counters(line: str) -> str:
    """Return a line of iptables-save without what it counts: ``:FORWARD DROP [12:480]``."""
    return line.partition(" [")[0] if line.startswith(":") else line
