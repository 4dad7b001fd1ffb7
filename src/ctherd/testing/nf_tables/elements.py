"""Elements of sets and of object maps."""

import errno

from ctherd.testing.nf_tables import intervals
from ctherd.testing.nf_tables.operations import Operation
from ctherd.testing.nf_tables.state import Element, Set, SetFlag, Table
from ctherd.testing.nf_tables.transaction import Transaction, required
from ctherd.testing.refusal import Absent, NotModelled, Refused
from ctherd.testing.wire import EXCLUSIVE, Attribute, Attributes, Message

_TABLE, _SET, _ELEMENTS, _SET_ID = 1, 2, 3, 4
_KEY, _FLAGS, _USERDATA, _OBJECT, _KEY_END = 1, 3, 6, 9, 10
_MODELLED = {_KEY, _FLAGS, _USERDATA, _OBJECT, _KEY_END}
_VALUE = 1


def new(transaction: Transaction, message: Message) -> None:
    """NEWSETELEM: add each element; one that is there with the same object is no change."""
    attributes = message.attributes()
    listed = required(attributes, _ELEMENTS)[0]
    table = transaction.writable(message.family, attributes)
    owner = _find_set(transaction, table, attributes)
    for _, attribute in listed.items():
        element = _parse_new(table, owner, attribute)
        if _present(owner, element, attribute, exclusive=bool(message.flags & EXCLUSIVE)):
            continue
        if owner.size and len(owner.elements) >= owner.size:
            raise Refused(errno.ENFILE, at=attribute)
        owner = transaction.touch(table.key).sets[owner.name]
        owner.elements[element.key, element.end] = element


def delete(transaction: Transaction, message: Message) -> None:
    """DELSETELEM: remove the listed elements, or without a list all of them."""
    attributes = message.attributes()
    table = transaction.writable(message.family, attributes)
    owner = _find_set(transaction, table, attributes)
    if _ELEMENTS not in attributes:
        if owner.elements:
            transaction.touch(table.key).sets[owner.name].elements.clear()
        return
    for _, attribute in attributes[_ELEMENTS].items():
        try:
            found = find_element(owner, attribute)
        except Absent:
            if message.op == Operation.DESTROYSETELEM:
                continue
            raise
        owner = transaction.touch(table.key).sets[owner.name]
        del owner.elements[found.key, found.end]


def _find_set(transaction: Transaction, table: Table, attributes: Attributes) -> Set:
    name = required(attributes, _SET)[0]
    set_id = attributes[_SET_ID].number if _SET_ID in attributes else None
    owner = transaction.find_set(table.key, name.text, set_id)
    if owner is None:
        raise Refused(errno.ENOENT, at=name)
    return owner


def find_element(owner: Set, attribute: Attribute) -> Element:
    """Return the element that *attribute* means: in an interval map, what covers its key.

    Raises: Refused (ENOENT); the object and the end of the range are not looked at.
    """
    key, _ = _keys(owner, attribute)
    found = intervals.find(owner, key) if owner.intervals else owner.elements.get((key, None))
    if found is None:
        raise Absent(attribute)
    return found


def _parse_new(table: Table, owner: Set, attribute: Attribute) -> Element:
    inner = attribute.nested()
    if inner.keys() - _MODELLED:
        raise NotModelled(f"element attributes {sorted(inner.keys() - _MODELLED)}")
    if _FLAGS in inner and inner[_FLAGS].number:
        raise NotModelled("element flags")
    key, end = _keys(owner, attribute)
    target = inner[_OBJECT].text if _OBJECT in inner else None
    if (target is None) == (SetFlag.OBJECT in owner.flags):
        raise Refused(errno.EINVAL, at=attribute)
    if target is not None and target not in table.objects:
        raise Refused(errno.ENOENT, at=attribute)
    userdata = inner[_USERDATA].payload if _USERDATA in inner else None
    return Element(key, end, target, userdata)


def _keys(owner: Set, attribute: Attribute) -> tuple[bytes, bytes | None]:
    inner = attribute.nested()
    if _KEY not in inner:
        raise Refused(errno.EINVAL, at=attribute)
    key = _value(owner, inner[_KEY], attribute)
    if _KEY_END not in inner:
        return key, None
    if not owner.intervals:
        raise Refused(errno.EINVAL, at=attribute)
    return key, _value(owner, inner[_KEY_END], attribute)


def _value(owner: Set, nest: Attribute, blamed: Attribute) -> bytes:
    value = nest.nested().get(_VALUE)
    if value is None or len(value.payload) != owner.key_length:
        raise Refused(errno.EINVAL, at=blamed)
    return value.payload


def _present(owner: Set, new: Element, blamed: Attribute, *, exclusive: bool) -> bool:
    """Tell whether an equal element is there already.

    Raises: Refused (EEXIST) if one is in the way.
    """
    clash = _clash(owner, new)
    if clash is None:
        if owner.intervals and intervals.backwards(owner, new):
            raise Refused(errno.EINVAL, at=blamed)
        return False
    if exclusive or clash.target != new.target or not intervals.same_range(clash, new):
        raise Refused(errno.EEXIST, at=blamed)
    return True


def _clash(owner: Set, new: Element) -> Element | None:
    if not owner.intervals:
        return owner.elements.get((new.key, None))
    last = new.key if new.end is None else new.end
    return intervals.find(owner, new.key) or intervals.find(owner, last)
