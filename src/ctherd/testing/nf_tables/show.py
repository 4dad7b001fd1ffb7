"""How the kernel writes out each thing of a ruleset: attributes in its order, without flags."""

from ctherd.testing.nf_tables.state import (
    CT_HELPER,
    Chain,
    Element,
    HelperObject,
    Rule,
    Set,
    SetFlag,
    Table,
    TableFlag,
)
from ctherd.testing.wire import attribute, be16, be32, be64, text

# Newer kernels name the set's backend by its address, and count its elements.
_SET_TYPE, _SET_COUNT = 19, 20
_SET_BACKEND = "0xffffffff00000000"


def table(shown: Table) -> bytes:
    """Write a NEWTABLE body."""
    body = text(1, shown.name) + be32(3, shown.use) + be64(4, shown.handle) + be32(2, shown.flags)
    if TableFlag.OWNER in shown.flags:
        body += be32(7, shown.owner)
    return body + _userdata(6, shown.userdata)


def chain(owner: Table, shown: Chain) -> bytes:
    """Write a NEWCHAIN body."""
    body = text(1, owner.name) + text(3, shown.name) + be64(2, shown.handle)
    if shown.hook is not None:
        body += attribute(4, be32(1, shown.hook.number) + be32(2, shown.hook.priority))
        body += be32(5, shown.hook.policy) + text(7, shown.hook.kind) + be32(10, 1)
    jumps = sum(rule.chains.count(shown.name) for rule in owner.rules())
    return body + be32(6, len(shown.rules) + jumps) + _userdata(12, shown.userdata)


def rule(owner: Table, in_chain: Chain, shown: Rule, before: Rule | None) -> bytes:
    """Write a NEWRULE body; the position is the handle of the rule before it."""
    body = text(1, owner.name) + text(2, in_chain.name) + be64(3, shown.handle)
    body += b"" if before is None else be64(6, before.handle)
    return body + attribute(4, shown.expressions) + _userdata(7, shown.userdata)


def set_(owner: Table, shown: Set) -> bytes:
    """Write a NEWSET body."""
    body = text(1, owner.name) + text(2, shown.name) + be64(16, shown.handle)
    body += be32(3, shown.flags) if shown.flags else b""
    body += be32(4, shown.key_type) + be32(5, shown.key_length)
    if SetFlag.OBJECT in shown.flags:
        body += be32(15, shown.object_type)
    body += _userdata(13, shown.userdata) + attribute(9, _description(shown))
    return body + text(_SET_TYPE, _SET_BACKEND) + be32(_SET_COUNT, len(shown.elements))


def element(shown: Element) -> bytes:
    """Write one element of a list."""
    body = attribute(1, attribute(1, shown.key))
    if shown.end is not None:
        body += attribute(10, attribute(1, shown.end))
    if shown.target is not None:
        body += text(9, shown.target)
    return attribute(1, body + _userdata(6, shown.userdata))


def elements(owner: Table, of: Set, packed: bytes) -> bytes:
    """Write a NEWSETELEM body around elements."""
    return text(1, owner.name) + text(2, of.name) + attribute(3, packed)


def helper_object(owner: Table, shown: HelperObject, uses: int) -> bytes:
    """Write a NEWOBJ body."""
    content = text(1, shown.helper) + attribute(3, bytes((shown.l4,))) + be16(2, shown.l3)
    body = text(1, owner.name) + text(2, shown.name) + be32(3, CT_HELPER)
    body += be64(6, shown.handle) + be32(5, uses) + attribute(4, content)
    return body + _userdata(8, shown.userdata)


def _userdata(kind: int, userdata: bytes | None) -> bytes:
    return b"" if userdata is None else attribute(kind, userdata)


def _description(shown: Set) -> bytes:
    size = be32(1, shown.size) if shown.size else b""
    if not shown.fields:
        return size
    return size + attribute(2, b"".join(attribute(1, be32(1, n)) for n in shown.fields))
