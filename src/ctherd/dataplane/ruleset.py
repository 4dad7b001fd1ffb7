"""Everybody's nf_tables ruleset in one netns, as far as a survey needs it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ctherd.errors import DataplaneError
from ctherd.netlink import nf_tables as nft
from ctherd.netlink import nf_tables_read as read
from ctherd.netlink.dialogue import Dialogue, Question
from ctherd.netlink.nf_tables import Operation
from ctherd.netlink.nf_tables_read import Chain, Expression, HelperObject, Table
from ctherd.netlink.wire import Message, attribute_list, attributes, number, text

FAMILIES: Final = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

_ALL_FAMILIES: Final = 0
_HEADER: Final = 4  # nfgenmsg precedes the attributes
_INTERVAL_END: Final = 1
_ATTEMPTS: Final = 3


class TableId(NamedTuple):
    """What names a table: nft's number of the family, and a name."""

    family: int
    name: str


class ForeignRule(NamedTuple):
    """One rule, with the handle by which nft deletes it."""

    table: TableId
    chain: str
    handle: int
    expressions: tuple[Expression, ...]


class Item(NamedTuple):
    """One element of any set or map. Shape: *ends* marks the key after the end of an interval."""

    key: bytes
    last: bytes | None
    ends: bool
    target: str
    jump: str


@dataclass(slots=True)
class Ruleset:
    """Tables, chains, rules and helper objects; elements are read when asked for."""

    dialogue: Dialogue
    tables: dict[TableId, Table] = field(default_factory=dict)
    chains: dict[TableId, list[Chain]] = field(default_factory=dict)
    rules: list[ForeignRule] = field(default_factory=list)
    objects: dict[TableId, dict[str, HelperObject]] = field(default_factory=dict)

    def items(self, table: TableId, name: str) -> list[Item]:
        """Return the elements of the set or map *name*; none if it is gone."""
        body = nft.set_place(table.name, name)
        question = Question(
            nft.kind(Operation.GETSETELEM), table.family, body, Operation.GETSETELEM.name
        )
        try:
            return [item for each in self.dialogue.dump_any(question) for item in _items(each)]
        except DataplaneError:
            return []

    def bases(self) -> Mapping[TableId, Mapping[str, Chain]]:
        """Return the base chains of each table, by name."""
        return {
            table: {each.name: each for each in chains if each.hook is not None}
            for table, chains in self.chains.items()
        }


def read_ruleset(dialogue: Dialogue, ours: TableId) -> Ruleset:
    """Read everything but the table *ours*; anew if somebody changes it meanwhile, within reason.

    Raises: DataplaneError.
    """
    for _ in range(_ATTEMPTS):
        generation = dialogue.generation()
        ruleset = _read(dialogue, ours)
        if dialogue.generation() == generation:
            break
    return ruleset


def list_tables(dialogue: Dialogue) -> Mapping[TableId, Table]:
    """Return all tables, ours among them; the oldest first, as the kernel lists them.

    Raises: DataplaneError.
    """
    listed = ((each.body[0], read.table(each)) for each in _dump(dialogue, Operation.GETTABLE))
    return {TableId(family, table.name): table for family, table in listed}


def _read(dialogue: Dialogue, ours: TableId) -> Ruleset:
    found = Ruleset(dialogue, dict(list_tables(dialogue)))
    found.tables.pop(ours, None)
    if not found.tables:
        return found
    for message in _dump(dialogue, Operation.GETCHAIN):
        chain = read.chain(message)
        found.chains.setdefault(TableId(message.body[0], chain.table), []).append(chain)
    for message in _dump(dialogue, Operation.GETRULE):
        rule = _rule(message)
        if rule.table != ours:
            found.rules.append(rule)
    _read_objects(found)
    return found


def _read_objects(found: Ruleset) -> None:
    for message in _dump(found.dialogue, Operation.GETOBJ):
        named = read.helper_object(message)
        if named is not None:
            table = TableId(message.body[0], text(attributes(message.body, _HEADER)[1]))
            found.objects.setdefault(table, {})[named.name] = named


def _dump(dialogue: Dialogue, operation: Operation) -> Iterator[Message]:
    return dialogue.dump_any(Question(nft.kind(operation), _ALL_FAMILIES, b"", operation.name))


def _rule(message: Message) -> ForeignRule:
    decoded = read.rule(message)
    handle = number(attributes(message.body, _HEADER).get(3, b""))
    table = TableId(message.body[0], decoded.table)
    return ForeignRule(table, decoded.chain, handle, decoded.expressions)


def _items(message: Message) -> Iterator[Item]:
    found = attributes(message.body, _HEADER)
    for _, payload in attribute_list(found[3]) if 3 in found else ():
        item = attributes(payload)
        yield Item(
            key=_value(item.get(1)) or b"",
            last=_value(item.get(10)),
            ends=bool(number(item.get(3, b"")) & _INTERVAL_END),
            target=text(item.get(9, b"")),
            jump=verdict_chain(item.get(2, memoryview(b""))),
        )


def _value(payload: memoryview | None) -> bytes | None:
    return None if payload is None else bytes(attributes(payload).get(1, b""))


def verdict_chain(payload: memoryview) -> str:
    """Return the chain that a verdict (NFTA_DATA_VERDICT) jumps or goes to, or ""."""
    inner = attributes(payload)
    return text(attributes(inner[2]).get(2, b"")) if 2 in inner else ""
