"""What reading requests answer: single things, and entries of dumps."""

import errno
from collections.abc import Iterator
from typing import NamedTuple

from ctherd.testing.nf_tables import show
from ctherd.testing.nf_tables.elements import find_element
from ctherd.testing.nf_tables.operations import Operation
from ctherd.testing.nf_tables.state import CT_HELPER, Chain, Ruleset, Set, Table
from ctherd.testing.nf_tables.transaction import required
from ctherd.testing.refusal import Refused
from ctherd.testing.wire import APPEND, Attributes, Message

_TABLE = 1
_CHAIN_NAME, _RULE_CHAIN, _RULE_HANDLE = 3, 2, 3
_SET_NAME, _ELEMENTS, _OBJECT_NAME, _OBJECT_TYPE = 2, 3, 2, 3


class Entry(NamedTuple):
    """One message of an answer; *flags* are those that the kernel adds to dumped ones."""

    op: Operation
    flags: int
    family: int
    body: bytes


def one(ruleset: Ruleset, message: Message) -> list[Entry]:
    """Answer a request for one thing (of elements: those that are listed).

    Raises: Refused (ENOENT, EINVAL).
    """
    attributes = message.attributes()
    table = _table(ruleset, message, attributes)
    match message.op:
        case Operation.GETTABLE:
            return [Entry(Operation.NEWTABLE, 0, table.family, show.table(table))]
        case Operation.GETCHAIN:
            body = show.chain(table, _chain(table, attributes, _CHAIN_NAME))
            return [Entry(Operation.NEWCHAIN, 0, table.family, body)]
        case Operation.GETRULE:
            return [_one_rule(table, attributes)]
        case Operation.GETSET:
            body = show.set_(table, _set(table, attributes))
            return [Entry(Operation.NEWSET, 0, table.family, body)]
        case Operation.GETSETELEM:
            return list(_listed_elements(table, attributes))
        case Operation.GETOBJ:
            return [_one_object(table, attributes)]
    raise Refused(errno.EINVAL)


def check_dump(ruleset: Ruleset, message: Message) -> None:
    """Refuse a dump that cannot begin: of elements, where there is no such set."""
    if message.op == Operation.GETSETELEM:
        attributes = message.attributes()
        _set(_table(ruleset, message, attributes), attributes)


def entries(ruleset: Ruleset, message: Message) -> Iterator[Entry]:
    """Yield what a dump lists now, but for elements, which share messages."""
    attributes = message.attributes()
    for table in ruleset.of_family(message.family):
        yield from _entries_of(table, message.op, attributes)


def dumped_set(ruleset: Ruleset, message: Message) -> tuple[Table, Set] | None:
    """Return the set whose elements a dump lists; None if it went away meanwhile."""
    attributes = message.attributes()
    table = ruleset.tables.get((message.family, attributes[_TABLE].text))
    found = table.sets.get(attributes[_SET_NAME].text) if table else None
    return (table, found) if table and found else None


def _entries_of(table: Table, op: int, attributes: Attributes) -> Iterator[Entry]:
    match op:
        case Operation.GETTABLE:
            yield Entry(Operation.NEWTABLE, 0, table.family, show.table(table))
        case Operation.GETCHAIN:
            for chain in table.chains.values():
                yield Entry(Operation.NEWCHAIN, 0, table.family, show.chain(table, chain))
        case Operation.GETRULE:
            yield from _rules(table, attributes)
        case Operation.GETSET if _passes(attributes, _TABLE, table.name):
            for each in table.sets.values():
                yield Entry(Operation.NEWSET, 0, table.family, show.set_(table, each))
        case Operation.GETOBJ if _passes(attributes, _TABLE, table.name):
            yield from _objects(table, attributes)


def _rules(table: Table, attributes: Attributes) -> Iterator[Entry]:
    if not _passes(attributes, _TABLE, table.name):
        return
    for chain in table.chains.values():
        if not _passes(attributes, _RULE_CHAIN, chain.name):
            continue
        for index, rule in enumerate(chain.rules):
            before = chain.rules[index - 1] if index else None
            body = show.rule(table, chain, rule, before)
            yield Entry(Operation.NEWRULE, APPEND, table.family, body)


def _objects(table: Table, attributes: Attributes) -> Iterator[Entry]:
    if _OBJECT_TYPE in attributes and attributes[_OBJECT_TYPE].number not in (0, CT_HELPER):
        return
    uses = table.object_uses()
    for each in table.objects.values():
        body = show.helper_object(table, each, uses[each.name])
        yield Entry(Operation.NEWOBJ, APPEND, table.family, body)


def _passes(attributes: Attributes, kind: int, name: str) -> bool:
    return kind not in attributes or attributes[kind].text == name


def _table(ruleset: Ruleset, message: Message, attributes: Attributes) -> Table:
    name = required(attributes, _TABLE)[0]
    found = ruleset.tables.get((message.family, name.text))
    if found is None:
        raise Refused(errno.ENOENT, at=name)
    return found


def _chain(table: Table, attributes: Attributes, kind: int) -> Chain:
    name = required(attributes, kind)[0]
    if name.text not in table.chains:
        raise Refused(errno.ENOENT, at=name)
    return table.chains[name.text]


def _one_rule(table: Table, attributes: Attributes) -> Entry:
    handle = required(attributes, _RULE_HANDLE)[0]
    chain = _chain(table, attributes, _RULE_CHAIN)
    for index, rule in enumerate(chain.rules):
        if rule.handle == handle.number:
            before = chain.rules[index - 1] if index else None
            body = show.rule(table, chain, rule, before)
            return Entry(Operation.NEWRULE, 0, table.family, body)
    raise Refused(errno.ENOENT, at=handle)


def _set(table: Table, attributes: Attributes) -> Set:
    name = required(attributes, _SET_NAME)[0]
    if name.text not in table.sets:
        raise Refused(errno.ENOENT, at=name)
    return table.sets[name.text]


def _listed_elements(table: Table, attributes: Attributes) -> Iterator[Entry]:
    owner = _set(table, attributes)
    for _, each in required(attributes, _ELEMENTS)[0].items():
        packed = show.element(find_element(owner, each))
        body = show.elements(table, owner, packed)
        yield Entry(Operation.NEWSETELEM, 0, table.family, body)


def _one_object(table: Table, attributes: Attributes) -> Entry:
    name, kind = required(attributes, _OBJECT_NAME, _OBJECT_TYPE)
    if kind.number != CT_HELPER or name.text not in table.objects:
        raise Refused(errno.ENOENT, at=name)
    found = table.objects[name.text]
    body = show.helper_object(table, found, table.object_uses()[found.name])
    return Entry(Operation.NEWOBJ, 0, table.family, body)
