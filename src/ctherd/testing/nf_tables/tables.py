"""Tables: creation, ownership, claiming of orphans, removal."""

import errno

from ctherd.testing.nf_tables.state import Table, TableFlag, TableKey
from ctherd.testing.nf_tables.transaction import Transaction, required
from ctherd.testing.refusal import Absent, NotModelled, Refused
from ctherd.testing.wire import EXCLUSIVE, INET, IPV4, IPV6, REPLACE, Message

_NAME, _FLAGS, _HANDLE, _USERDATA = 1, 2, 4, 6
_NAME_LENGTH = 255
_OTHER_FAMILIES = (3, 5, 7)  # arp, netdev, bridge


def new(transaction: Transaction, message: Message) -> None:
    """NEWTABLE: create, or say what the table shall be from now on."""
    attributes = message.attributes()
    name = required(attributes, _NAME)[0]
    _check_family(message.family)
    if len(name.text) > _NAME_LENGTH:
        raise Refused(errno.ERANGE, "Attribute failed policy validation", name)
    flags = attributes[_FLAGS].number if _FLAGS in attributes else None
    existing = transaction.find((message.family, name.text))
    if existing is not None:
        if transaction.owned_by_another(existing):
            raise Refused(errno.EPERM)
        if message.flags & EXCLUSIVE:
            raise Refused(errno.EEXIST, at=name)
        if message.flags & REPLACE:
            raise Refused(errno.EOPNOTSUPP)
        _update(transaction, existing, flags)
        return
    wanted = _known(transaction, flags or 0)
    owner = transaction.portid if TableFlag.OWNER in wanted else 0
    userdata = attributes[_USERDATA].payload if _USERDATA in attributes else None
    handle = transaction.next_table_handle()
    transaction.add(Table(message.family, name.text, handle, wanted, owner, userdata))


def delete(transaction: Transaction, message: Message) -> None:
    """DELTABLE: one table, or without a name all that this process may delete."""
    attributes = message.attributes()
    if _NAME not in attributes and _HANDLE not in attributes:
        for key in transaction.keys(message.family):
            table = transaction.find(key)
            if table is not None and not transaction.owned_by_another(table):
                transaction.remove(key)
        return
    if _NAME not in attributes:
        raise NotModelled("deleting a table by handle")
    if transaction.find((message.family, attributes[_NAME].text)) is None:
        raise Absent(attributes[_NAME])
    transaction.remove(transaction.writable(message.family, attributes).key)


def release(tables: dict[TableKey, Table], portid: int) -> None:
    """Drop what *portid* owned, as its socket is gone.

    A persistent table stays, unguarded; another one dies with its owner. Neither begins a new
    generation nor is announced.
    """
    for key, table in list(tables.items()):
        if TableFlag.OWNER not in table.flags or table.owner != portid:
            continue
        if TableFlag.PERSIST in table.flags:
            table.flags &= ~TableFlag.OWNER
            table.owner = 0
        else:
            del tables[key]


def _check_family(family: int) -> None:
    if family in _OTHER_FAMILIES:
        raise NotModelled(f"family {family}")
    if family not in (INET, IPV4, IPV6):
        raise Refused(errno.EOPNOTSUPP)


def _known(transaction: Transaction, flags: int) -> TableFlag:
    # A number: the complement of a flag knows no bits but the enumerated ones.
    known = int(TableFlag.DORMANT | TableFlag.OWNER)
    if transaction.abilities.persist:
        known |= int(TableFlag.PERSIST)
    if flags & ~known:
        raise Refused(errno.EOPNOTSUPP)
    return TableFlag(flags)


def _update(transaction: Transaction, table: Table, flags: int | None) -> None:
    if flags is None:
        return
    wanted = _known(transaction, flags)
    if wanted == table.flags:
        return
    owned = TableFlag.OWNER in table.flags
    gives_up = owned and TableFlag.OWNER not in wanted
    claims = not owned and TableFlag.OWNER in wanted
    if gives_up or (claims and not table.orphaned):
        raise Refused(errno.EOPNOTSUPP)
    if (wanted ^ table.flags) & TableFlag.PERSIST:
        raise Refused(errno.EOPNOTSUPP)
    transaction.check_settled(table)
    if claims or (wanted ^ table.flags) & TableFlag.DORMANT:
        transaction.unsettle(table)
    draft = transaction.touch(table.key)
    draft.flags = wanted
    if claims:
        draft.owner = transaction.portid
