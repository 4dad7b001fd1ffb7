"""Sets and maps: their declaration. Elements live in their own module."""

import errno

from ctherd.testing.nf_tables.state import Set, SetFlag
from ctherd.testing.nf_tables.transaction import Transaction, required
from ctherd.testing.refusal import Absent, NotModelled, Refused
from ctherd.testing.wire import CREATE, EXCLUSIVE, REPLACE, Attributes, Message

_TABLE, _NAME, _FLAGS, _KEY_TYPE, _KEY_LENGTH, _DATA_TYPE = 1, 2, 3, 4, 5, 6
_DESCRIPTION, _ID, _USERDATA, _OBJECT_TYPE, _HANDLE = 9, 10, 13, 15, 16
_DESCRIPTION_SIZE, _DESCRIPTION_FIELDS = 1, 2
_KEY_BYTES = 64
# A number: the complement of a flag knows no bits but the enumerated ones.
_MODELLED = int(SetFlag.INTERVAL | SetFlag.OBJECT | SetFlag.CONCATENATION | SetFlag.CONSTANT)


def new(transaction: Transaction, message: Message) -> None:
    """NEWSET: create. Re-adding an equal set is a commit, and keeps the old userdata."""
    attributes = message.attributes()
    name, _, set_id = required(attributes, _NAME, _KEY_LENGTH, _ID)
    declared = _declare(name.text, attributes)
    table = transaction.writable(message.family, attributes)
    existing = table.sets.get(name.text)
    if existing is None:
        if not message.flags & CREATE:
            raise Refused(errno.ENOENT)
        _check_fields(declared)
        draft = transaction.touch(table.key)
        declared.handle = draft.next_handle()
        draft.sets[declared.name] = declared
        transaction.declare_set(table.key, declared, set_id.number)
    else:
        _check_same(existing, declared, message, attributes)
        transaction.touch(table.key)
        transaction.declare_set(table.key, existing, 0)


def delete(transaction: Transaction, message: Message) -> None:
    """DELSET: remove a set with its elements, unless a rule refers to it."""
    attributes = message.attributes()
    if _HANDLE in attributes:
        raise NotModelled("deleting a set by handle")
    name = required(attributes, _NAME)[0]
    table = transaction.writable(message.family, attributes)
    if name.text not in table.sets:
        raise Absent(name)
    if any(name.text in rule.maps for rule in table.rules()):
        raise Refused(errno.EBUSY, at=name)
    del transaction.touch(table.key).sets[name.text]


def _check_same(existing: Set, declared: Set, message: Message, attributes: Attributes) -> None:
    if message.flags & EXCLUSIVE or existing.shape != declared.shape:
        raise Refused(errno.EEXIST, at=attributes[_NAME])
    if message.flags & REPLACE:
        raise Refused(errno.EOPNOTSUPP)


def _declare(name: str, attributes: Attributes) -> Set:
    flags = _flags(attributes)
    key_length = attributes[_KEY_LENGTH].number
    if not 1 <= key_length <= _KEY_BYTES:
        raise Refused(errno.EINVAL)
    object_type = attributes[_OBJECT_TYPE].number if _OBJECT_TYPE in attributes else 0
    if bool(object_type) != (SetFlag.OBJECT in flags):
        raise Refused(errno.EINVAL)
    size, fields = _description(attributes)
    key_type = attributes[_KEY_TYPE].number if _KEY_TYPE in attributes else 0
    userdata = attributes[_USERDATA].payload if _USERDATA in attributes else None
    return Set(name, 0, flags, key_type, key_length, object_type, fields, size, userdata)


def _flags(attributes: Attributes) -> SetFlag:
    flags = SetFlag(attributes[_FLAGS].number if _FLAGS in attributes else 0)
    if SetFlag.MAP | SetFlag.OBJECT in flags:
        raise Refused(errno.EOPNOTSUPP)
    if SetFlag.MAP in flags and _DATA_TYPE not in attributes:
        raise Refused(errno.EINVAL)
    if flags & ~_MODELLED or _DATA_TYPE in attributes:
        raise NotModelled(f"sets with flags {flags:#x}")
    if SetFlag.INTERVAL in flags and SetFlag.CONCATENATION not in flags:
        raise NotModelled("interval sets that are not concatenations (rbtree)")
    return flags


def _description(attributes: Attributes) -> tuple[int, tuple[int, ...]]:
    if _DESCRIPTION not in attributes:
        return 0, ()
    inner = attributes[_DESCRIPTION].nested()
    size = inner[_DESCRIPTION_SIZE].number if _DESCRIPTION_SIZE in inner else 0
    if _DESCRIPTION_FIELDS not in inner:
        return size, ()
    fields = (each.nested() for _, each in inner[_DESCRIPTION_FIELDS].items())
    return size, tuple(required(field, 1)[0].number for field in fields)


def _check_fields(declared: Set) -> None:
    padded = sum(length + -length % 4 for length in declared.fields)
    if declared.fields and padded != declared.key_length:
        raise Refused(errno.EINVAL)
