"""A whole nf_tables ruleset as facts that can be compared: what rules do, without what they count.

Two rulesets that treat packets alike have equal facts, whoever loaded them and when. Handles,
counters and the numbers of nameless sets are left out; elements that come and go by themselves too.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ctherd.dataplane.ruleset import FAMILIES, Ruleset, TableId, read_ruleset
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import nf_tables_read as read
from ctherd.netlink.dialogue import Dialogue, Question
from ctherd.netlink.nf_tables import Operation
from ctherd.netlink.nf_tables_read import Expression
from ctherd.netlink.wire import attributes, text

_NONE: Final = TableId(0, "")
_HEADER: Final = 4
_NAMELESS: Final = re.compile(rb"^__(set|map)\d+\0*$")
_NAMELESS_TEXT: Final = re.compile(r"^__(set|map)\d+$")
_DORMANT: Final = 1
_EVALUATED: Final = 0x20
_TIMES_OUT: Final = 0x10
# What an expression has counted so far: all of it, or these attributes.
_COUNTS: Final[Mapping[str, frozenset[int]]] = {
    "counter": frozenset((1, 2)),
    "quota": frozenset((4,)),
    "last": frozenset((1, 2)),
}


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table. Shape: everything in it by what it is called, rules in their order."""

    dormant: bool
    chains: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    rules: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    sets: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    objects: Mapping[str, tuple[object, ...]] = field(default_factory=dict)


Facts = Mapping[TableId, TableFacts]


def read_facts(dialogue: Dialogue) -> Facts:
    """Read the facts of every table, ours among them.

    Raises: DataplaneError.
    """
    ruleset = read_ruleset(dialogue, _NONE)
    sets = _sets(ruleset)
    return {
        table: TableFacts(
            dormant=bool(found.flags & _DORMANT),
            chains={
                each.name: (each.hook, each.priority, each.type, each.policy)
                for each in ruleset.chains.get(table, ())
            },
            rules=_rules(ruleset, table),
            sets=sets.get(table, {}),
            objects={
                each.name: (each.helper, each.l3_protocol, each.l4_protocol)
                for each in ruleset.objects.get(table, {}).values()
            },
        )
        for table, found in ruleset.tables.items()
    }


def in_words(table: TableId) -> str:
    """Return *table* as nft names it."""
    return f"{FAMILIES.get(table.family, table.family)} {table.name}"


def _rules(ruleset: Ruleset, table: TableId) -> Mapping[str, tuple[object, ...]]:
    found: dict[str, list[object]] = {}
    for rule in ruleset.rules:
        if rule.table == table:
            found.setdefault(rule.chain, []).append(tuple(map(_normal, rule.expressions)))
    return {chain: tuple(rules) for chain, rules in found.items()}


def _normal(expression: Expression) -> Expression:
    name, fields = expression
    counts = _COUNTS.get(name, frozenset())
    return name, tuple(
        (kind, b"" if _NAMELESS.match(payload) else payload)
        for kind, payload in fields
        if kind not in counts
    )


def _sets(ruleset: Ruleset) -> Mapping[TableId, Mapping[str, tuple[object, ...]]]:
    found: dict[TableId, dict[str, tuple[object, ...]]] = {}
    nameless: dict[TableId, int] = {}
    for table, name, flags in list(_list_sets(ruleset.dialogue)):
        items = () if flags & (_EVALUATED | _TIMES_OUT) else ruleset.items(table, name)
        if _NAMELESS_TEXT.match(name):
            # They are listed in the order in which the rules that use them were made.
            nameless[table] = number_of = nameless.get(table, 0) + 1
            name = f"nameless {number_of}"
        found.setdefault(table, {})[name] = (flags, tuple(sorted(items, key=repr)))
    return found


def _list_sets(dialogue: Dialogue) -> Iterator[tuple[TableId, str, int]]:
    question = Question(nft.kind(Operation.GETSET), 0, b"", Operation.GETSET.name)
    for message in dialogue.dump_any(question):
        decoded = read.set_(message)
        table = text(attributes(message.body, _HEADER).get(1, b""))
        yield TableId(message.body[0], table), decoded.name, int(decoded.flags)
