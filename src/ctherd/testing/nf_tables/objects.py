"""Stateful objects: ct helpers, the only kind that is modelled."""

import errno

from ctherd.testing.nf_tables.state import CT_HELPER, HelperObject
from ctherd.testing.nf_tables.transaction import Abilities, Transaction, required
from ctherd.testing.refusal import Absent, NotModelled, Refused
from ctherd.testing.wire import BRIDGE, EXCLUSIVE, INET, IPV4, IPV6, REPLACE, Attribute, Message

_TABLE, _NAME, _TYPE, _DATA, _HANDLE, _USERDATA = 1, 2, 3, 4, 6, 8
_HELPER_NAME, _HELPER_L3, _HELPER_L4 = 1, 2, 3
_HELPER_NAME_LENGTH = 15
_KNOWN_TYPES = range(1, 11)
_NETDEV = 5


def new(transaction: Transaction, message: Message) -> None:
    """NEWOBJ: create. Re-adding one with whatever content succeeds and changes nothing."""
    attributes = message.attributes()
    name, kind, content = required(attributes, _NAME, _TYPE, _DATA)
    table = transaction.writable(message.family, attributes)
    if kind.number == CT_HELPER and name.text in table.objects:
        if message.flags & EXCLUSIVE:
            raise Refused(errno.EEXIST, at=name)
        if message.flags & REPLACE:
            raise Refused(errno.EOPNOTSUPP)
        return
    _check_type(kind.number)
    helper, l4, l3 = _helper(transaction.abilities, message.family, content)
    userdata = attributes[_USERDATA].payload if _USERDATA in attributes else None
    draft = transaction.touch(table.key)
    made = HelperObject(name.text, draft.next_handle(), helper, l4, l3, userdata)
    draft.objects[name.text] = made


def delete(transaction: Transaction, message: Message) -> None:
    """DELOBJ: remove an object that nothing uses."""
    attributes = message.attributes()
    kind = required(attributes, _TYPE)[0]
    table = transaction.writable(message.family, attributes)
    if _HANDLE in attributes:
        raise NotModelled("deleting an object by handle")
    name = required(attributes, _NAME)[0]
    if kind.number != CT_HELPER or name.text not in table.objects:
        raise Absent(name)
    if table.object_uses()[name.text]:
        raise Refused(errno.EBUSY, at=name)
    del transaction.touch(table.key).objects[name.text]


def _check_type(kind: int) -> None:
    if kind == CT_HELPER:
        return
    if kind in _KNOWN_TYPES:
        raise NotModelled(f"objects of type {kind}")
    raise Refused(errno.ENOENT)


def _helper(abilities: Abilities, family: int, content: Attribute) -> tuple[str, int, int]:
    """Return (name, l4, l3 that the kernel really has) of the helper that *content* asks for."""
    name, l4 = required(content.nested(), _HELPER_NAME, _HELPER_L4)
    if len(name.text) > _HELPER_NAME_LENGTH:
        raise Refused(errno.ERANGE)
    inner = content.nested()
    wanted = _families(family, inner[_HELPER_L3].number if _HELPER_L3 in inner else family)
    served = wanted & _served(abilities, name.text, l4.number)
    if not served:
        raise Refused(errno.ENOENT)
    l3 = INET if len(served) > 1 else min(served)
    return name.text, l4.number, l3


def _families(table_family: int, l3: int) -> frozenset[int]:
    if l3 in (INET, BRIDGE, _NETDEV):
        return frozenset({IPV4, IPV6})
    if l3 not in (IPV4, IPV6):
        raise Refused(errno.EAFNOSUPPORT)
    if table_family != INET and l3 != table_family:
        raise Refused(errno.EINVAL)
    return frozenset({l3})


def _served(abilities: Abilities, name: str, l4: int) -> frozenset[int]:
    """Return the families of a helper, whose module is loaded on demand (but not its nat one)."""
    support = abilities.helpers.get((name, l4))
    if support is None:
        return frozenset()
    modules = abilities.modules
    if modules is not None and not modules.load(f"nf_conntrack_{support.module}"):
        return frozenset()
    return support.families
