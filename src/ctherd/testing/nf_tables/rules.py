"""Rules: added at a place, replaced, removed one by one or by the chain."""

import errno
from dataclasses import replace

from ctherd.testing.nf_tables import expressions
from ctherd.testing.nf_tables.state import Chain, Rule, Table
from ctherd.testing.nf_tables.transaction import Transaction, required
from ctherd.testing.refusal import Absent, NotModelled, Refused
from ctherd.testing.wire import APPEND, CREATE, EXCLUSIVE, REPLACE, Attribute, Attributes, Message

_TABLE, _CHAIN, _HANDLE, _EXPRESSIONS, _COMPATIBLE, _POSITION, _USERDATA = 1, 2, 3, 4, 5, 6, 7


def new(transaction: Transaction, message: Message) -> None:
    """NEWRULE: append, insert, or replace."""
    attributes = message.attributes()
    table = transaction.writable(message.family, attributes)
    chain = _chain(table, attributes)
    if _COMPATIBLE in attributes:
        raise NotModelled("rules of iptables-nft (xt compatibility)")
    if _HANDLE in attributes:
        _replace(transaction, table, chain, message, attributes)
        return
    if not message.flags & CREATE or message.flags & REPLACE:
        raise Refused(errno.EINVAL)
    place = _place(chain, attributes, append=bool(message.flags & APPEND))
    rule = _parse(transaction, table, attributes)
    draft = transaction.touch(table.key)
    rule = replace(rule, handle=draft.next_handle())
    rules = (*chain.rules[:place], rule, *chain.rules[place:])
    draft.chains[chain.name] = replace(chain, rules=rules)


def delete(transaction: Transaction, message: Message) -> None:
    """DELRULE: one rule by handle, or all of a chain, or all of a table."""
    attributes = message.attributes()
    table = transaction.writable(message.family, attributes)
    chains = [_chain(table, attributes)] if _CHAIN in attributes else list(table.chains.values())
    if _HANDLE in attributes:
        index = _index(chains[0], attributes[_HANDLE]) if _CHAIN in attributes else None
        if index is None:
            raise Refused(errno.EINVAL)
        kept = chains[0].rules[:index] + chains[0].rules[index + 1 :]
        transaction.touch(table.key).chains[chains[0].name] = replace(chains[0], rules=kept)
        return
    for chain in chains:
        if chain.rules:
            transaction.touch(table.key).chains[chain.name] = replace(chain, rules=())


def _replace(
    transaction: Transaction,
    table: Table,
    chain: Chain,
    message: Message,
    attributes: Attributes,
) -> None:
    index = _index(chain, attributes[_HANDLE])
    if message.flags & EXCLUSIVE:
        raise Refused(errno.EEXIST, at=attributes[_HANDLE])
    if not message.flags & REPLACE:
        raise Refused(errno.EOPNOTSUPP)
    rule = _parse(transaction, table, attributes)
    rule = replace(rule, handle=chain.rules[index].handle)
    rules = (*chain.rules[:index], rule, *chain.rules[index + 1 :])
    transaction.touch(table.key).chains[chain.name] = replace(chain, rules=rules)


def _chain(table: Table, attributes: Attributes) -> Chain:
    name = required(attributes, _CHAIN)[0]
    if name.text not in table.chains:
        raise Absent(name)
    return table.chains[name.text]


def _place(chain: Chain, attributes: Attributes, *, append: bool) -> int:
    """Return the index of a new rule: without a position at an end, else beside its neighbour."""
    if _POSITION not in attributes:
        return len(chain.rules) if append else 0
    return _index(chain, attributes[_POSITION]) + append


def _index(chain: Chain, handle: Attribute) -> int:
    for index, rule in enumerate(chain.rules):
        if rule.handle == handle.number:
            return index
    raise Refused(errno.ENOENT, at=handle)


def _parse(transaction: Transaction, table: Table, attributes: Attributes) -> Rule:
    packed, refers = expressions.parse(
        attributes.get(_EXPRESSIONS),
        table,
        lambda name, set_id: transaction.find_set(table.key, name, set_id),
    )
    userdata = attributes[_USERDATA].payload if _USERDATA in attributes else None
    return Rule(
        0, packed, userdata, tuple(refers.maps), tuple(refers.objects), tuple(refers.chains)
    )
