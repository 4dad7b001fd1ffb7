"""Reads the copy back: whatever its rules do otherwise than the router's is listed."""

from collections.abc import Collection, Iterator, Mapping

from ctherd.dataplane.circumstances import legacy_rules, without_counters
from ctherd.dataplane.rule_facts import Facts, TableFacts, in_words
from ctherd.dataplane.ruleset import FAMILIES
from ctherd.netlink.nf_tables import POLICY_ACCEPT
from ctherd.verify.copy.missing import Missing
from ctherd.verify.copy.xtables import Table

_NO_TABLE = TableFacts(dormant=False)


def compare_nft(there: Facts, here: Facts, besides: Collection[Table], missing: Missing) -> None:
    """List what *here*, the copy, does otherwise than *there*, but for the tables *besides*."""
    for table, original in there.items():
        if (FAMILIES.get(table.family, ""), table.name) in besides:
            continue
        copied = here.get(table)
        if copied is None:
            missing.add(f"table {in_words(table)}")
            continue
        for words in _differences(original, copied):
            missing.add(f"table {in_words(table)}: {words}")
    for table in here.keys() - there.keys():
        missing.add(f"table {in_words(table)} is in the copy only")


def _differences(original: TableFacts, copied: TableFacts) -> Iterator[str]:
    if original.dormant != copied.dormant:
        yield "it is dormant in one of them"
    chains = {
        name: each
        for name, each in copied.chains.items()
        if name in original.chains or not _harmless(each, copied.rules.get(name, ()))
    }
    yield from _named("chain", original.chains, chains)
    for chain in original.rules.keys() | copied.rules.keys():
        there, here = original.rules.get(chain, ()), copied.rules.get(chain, ())
        if there != here:
            yield f"chain {chain} has {len(there)} rules, and {len(here)} or others in the copy"
    yield from _named("set", original.sets, copied.sets)
    yield from _named("object", original.objects, copied.objects)


def _harmless(chain: tuple[object, ...], rules: tuple[object, ...]) -> bool:
    """Tell whether *chain* lets everything pass: iptables makes such ones on every occasion."""
    return not rules and chain[-1] in (POLICY_ACCEPT, None)


def _named(
    kind: str, there: Mapping[str, tuple[object, ...]], here: Mapping[str, tuple[object, ...]]
) -> Iterator[str]:
    for name in there.keys() | here.keys():
        if name not in here:
            yield f"{kind} {name} is not in the copy"
        elif there.get(name) != here[name]:
            yield f"{kind} {name} is another one in the copy"


def compare_saved(
    there: Mapping[Table, list[str]], here: Mapping[Table, list[str]], missing: Missing
) -> None:
    """List what iptables-nft saves otherwise of the copy.

    By its text, as the kernel shows one and the same match in more ways than one.
    """
    for table, saved in there.items():
        original = list(map(without_counters, saved))
        copied = [
            line
            for line in map(without_counters, here.get(table, ()))
            if line in original or not _made_on_every_occasion(line)
        ]
        if copied == original:
            continue
        lacking = [line for line in original if line not in copied]
        for words in lacking or ["its rules are others, or in another order"]:
            missing.add(f"table {' '.join(table)}: {words}")


def _made_on_every_occasion(line: str) -> bool:
    return line.startswith(":") and line.endswith(" ACCEPT")


def compare_legacy(from_fd: int, to_fd: int, missing: Missing) -> None:
    """List the families of iptables-legacy whose copy is another one.

    Raises: OSError if a netns may not be entered.
    """
    there, here = legacy_rules(from_fd), legacy_rules(to_fd)
    for family, lines in there.items():
        if lines != here.get(family):
            missing.add(f"the rules of iptables-legacy for {family} are others in the copy")
