"""Messages that change or ask for nf_tables state, as bytes.

Bodies carry no header: the batch gives each its sequence number, by which the kernel's errors
name it. Source: linux/netfilter/nf_tables.h, nfnetlink.h.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum, IntFlag
from functools import cache, lru_cache
from typing import Final, NamedTuple

from ctherd.netlink import wire
from ctherd.netlink.wire import attribute, nested, string, u8, u32

SUBSYSTEM: Final = 10
_SUBSYSTEM_BITS: Final = SUBSYSTEM << 8
NFPROTO_INET: Final = 1
NFPROTO_IPV4: Final = 2
NFPROTO_IPV6: Final = 10

BATCH_BEGIN: Final = 0x10
BATCH_END: Final = 0x11
_BATCH_GENERATION: Final = 1

HOOK_PREROUTING: Final = 0
HOOK_INPUT: Final = 1
HOOK_FORWARD: Final = 2
HOOK_OUTPUT: Final = 3
POLICY_ACCEPT: Final = 1

OBJECT_CT_HELPER: Final = 3

TYPE_IPV4_ADDRESS: Final = 7
TYPE_IPV6_ADDRESS: Final = 8
TYPE_INET_PROTOCOL: Final = 12
TYPE_INET_SERVICE: Final = 13

META_INTERFACE_NAME: Final = 6
META_NFPROTO: Final = 15
META_L4PROTO: Final = 16
PAYLOAD_NETWORK_HEADER: Final = 1
PAYLOAD_TRANSPORT_HEADER: Final = 2
CT_STATE: Final = 0
CT_HELPER: Final = 6
STATE_RELATED: Final = 1 << 2
STATE_NEW: Final = 1 << 3
COMPARE_EQUAL: Final = 0
COMPARE_UNEQUAL: Final = 1
COMPARE_AT_LEAST: Final = 5
FIB_SOURCE: Final = 1
FIB_BY_INTERFACE: Final = 1 << 3
_FIB_RESULT_INTERFACE: Final = 1
_ACCEPT: Final = 1
_DROP: Final = 0
_VERDICT_REGISTER: Final = 0
REGISTER_1: Final = 1
REGISTER_32_00: Final = 8

COMMENT: Final = 0
"""The TLV type of a comment in the userdata of a table, chain, rule or object."""

_ELEMENTS_AT_ONCE: Final = 400
"""An attribute's length has 16 bits, and the longest element takes 96 bytes."""


class Operation(IntEnum):
    """The nf_tables operations that ctherd uses."""

    NEWTABLE = 0
    GETTABLE = 1
    DELTABLE = 2
    NEWCHAIN = 3
    GETCHAIN = 4
    NEWRULE = 6
    GETRULE = 7
    NEWSET = 9
    GETSET = 10
    NEWSETELEM = 12
    GETSETELEM = 13
    DELSETELEM = 14
    NEWGEN = 15
    GETGEN = 16
    NEWOBJ = 18
    GETOBJ = 19
    DELOBJ = 20


class TableFlag(IntFlag):
    """Flags of a table; PERSIST needs Linux 6.9."""

    OWNER = 2
    PERSIST = 4


class SetFlag(IntFlag):
    """Flags of a set; OBJECT makes it a map to stateful objects."""

    INTERVAL = 4
    OBJECT = 64
    CONCAT = 128


class Request(NamedTuple):
    """One message of a batch, before it has a sequence number."""

    operation: Operation
    flags: int
    body: bytes


class Element(NamedTuple):
    """One element of an object map. Shape: *end* is the inclusive upper key of an interval."""

    key: bytes
    end: bytes | None
    target: str


# -- envelopes -------------------------------------------------------------------------------------


def kind(operation: Operation) -> int:
    """Return the netlink message type of *operation*."""
    return _SUBSYSTEM_BITS | operation


_BEGIN: Final = wire.netfilter_message(BATCH_BEGIN, 0, 0, 0, b"", SUBSYSTEM)
_BEGIN_AT: Final = wire.netfilter_message(
    BATCH_BEGIN, 0, 0, 0, u32(_BATCH_GENERATION, 0), SUBSYSTEM
)[:-4]
"""What begins a batch with a condition, up to the generation itself."""
_END: Final = wire.netfilter_message(BATCH_END, 0, 0, 0, b"", SUBSYSTEM)


def batch(requests: Sequence[Request], generation: int | None) -> bytes:
    """Encode a transaction; request *i* bears sequence number *i* + 1, the envelope 0.

    With *generation* the kernel carries it out only if the ruleset is still at that generation.
    The last request is acknowledged, so that silence is never taken for success.
    """
    last = len(requests)
    numbered = enumerate(requests, 1)
    return enveloped([message(each, n, acknowledge=n == last) for n, each in numbered], generation)


def enveloped(messages: Iterable[bytes], generation: int | None) -> bytes:
    """Make a transaction of *messages*."""
    begin = _BEGIN if generation is None else _BEGIN_AT + generation.to_bytes(4, "big")
    return b"".join((begin, *messages, _END))


def message(request: Request, sequence: int, *, acknowledge: bool) -> bytes:
    """Encode one message of a transaction."""
    operation, flags, body = request
    if acknowledge:
        flags |= wire.NLM_F_ACK
    return wire.netfilter_message(_SUBSYSTEM_BITS | operation, flags, sequence, NFPROTO_INET, body)


def get(operation: Operation, sequence: int, body: bytes = b"", *, dump: bool = False) -> bytes:
    """Encode a question; a dump is answered by many messages and NLMSG_DONE."""
    flags = wire.NLM_F_DUMP if dump else 0
    return wire.netfilter_message(kind(operation), flags, sequence, NFPROTO_INET, body)


# -- tables, chains, rules -------------------------------------------------------------------------


def comment(words: str) -> bytes:
    """Encode userdata that holds one comment, as `nft` reads and prints it.

    Shape: TLV of type and length (8 bits each); *words* is NUL-terminated, at most 128 bytes.
    Source: libnftnl udata.h.
    """
    raw = words.encode() + b"\0"
    return bytes((COMMENT, len(raw))) + raw


@cache
def table_name(name: str) -> bytes:
    """Encode the body that names a table, in a question or a deletion."""
    return string(1, name)


def new_table(name: str, flags: TableFlag, words: str, *, exclusive: bool) -> Request:
    """Create a table, or (not *exclusive*) claim an existing one."""
    body = string(1, name) + u32(2, flags)
    if words:
        body += attribute(6, comment(words))
    return Request(
        Operation.NEWTABLE, wire.NLM_F_CREATE | (wire.NLM_F_EXCL if exclusive else 0), body
    )


def del_table(name: str) -> Request:
    """Delete a table with everything in it."""
    return Request(Operation.DELTABLE, 0, table_name(name))


def chain_name(table: str, chain: str) -> bytes:
    """Encode the body that names a chain in a question."""
    return string(1, table) + string(3, chain)


@cache
def new_base_chain(table: str, chain: str, hook: int, priority: int) -> Request:
    """Create a base chain of type filter that accepts by default."""
    body = (
        chain_name(table, chain)
        + nested(4, u32(1, hook), u32(2, priority))
        + u32(5, POLICY_ACCEPT)
        + string(7, "filter")
    )
    return Request(Operation.NEWCHAIN, wire.NLM_F_CREATE, body)


def rule_place(table: str, chain: str) -> bytes:
    """Encode the body that asks for the rules of one chain."""
    return string(1, table) + string(2, chain)


def new_rule(table: str, chain: str, expressions: Iterable[bytes]) -> Request:
    """Append a rule."""
    body = rule_place(table, chain) + nested(4, *expressions)
    return Request(Operation.NEWRULE, wire.NLM_F_CREATE | wire.NLM_F_APPEND, body)


# -- expressions -----------------------------------------------------------------------------------


def _expression(name: str, *parts: bytes) -> bytes:
    return nested(1, string(1, name), nested(2, *parts))


def meta(key: int, register: int) -> bytes:
    """Load packet metadata."""
    return _expression("meta", u32(2, key), u32(1, register))


def payload(base: int, offset: int, length: int, register: int) -> bytes:
    """Load packet bytes."""
    return _expression("payload", u32(1, register), u32(2, base), u32(3, offset), u32(4, length))


def compare_equal(register: int, value: bytes) -> bytes:
    """End the rule unless *register* holds *value*."""
    return compare(register, COMPARE_EQUAL, value)


def compare(register: int, operator: int, value: bytes) -> bytes:
    """End the rule unless what *register* holds compares so with *value*."""
    return _expression("cmp", u32(1, register), u32(2, operator), nested(3, attribute(1, value)))


def conntrack(key: int, register: int) -> bytes:
    """Load what conntrack knows of the packet; end the rule where it does not know it.

    Shape: CT_STATE is one bit in host byte order; CT_HELPER the name of the helper that expected
    the connection, 16 bytes.
    """
    return _expression("ct", u32(1, register), u32(2, key))


def fib_interface(flags: int, register: int) -> bytes:
    """Load the index of the interface by which the route that *flags* ask for leaves; 0 is none."""
    return _expression("fib", u32(1, register), u32(2, _FIB_RESULT_INTERFACE), u32(3, flags))


def counter() -> bytes:
    """Count packets and bytes that come so far."""
    return _expression("counter")


def accept() -> bytes:
    """End the base chain: the packet goes on to the next one."""
    return _verdict(_ACCEPT)


def drop() -> bytes:
    """Drop the packet."""
    return _verdict(_DROP)


def _verdict(code: int) -> bytes:
    # The inner nest bears no flag, as the kernel writes it.
    verdict = attribute(2, u32(1, code))
    return _expression("immediate", u32(1, _VERDICT_REGISTER), nested(2, verdict))


def object_from_map(register: int, map_name: str) -> bytes:
    """Evaluate the object that *map_name* holds for the key that starts at *register*."""
    return _expression("objref", u32(3, register), string(4, map_name))


# -- objects and maps ------------------------------------------------------------------------------


def object_table(table: str) -> bytes:
    """Encode the body that asks for all objects of a table."""
    return string(1, table)


@cache
def new_ct_helper(table: str, name: str, helper: str, l4_protocol: int) -> Request:
    """Create a ct helper object for every family the kernel has *helper* for.

    Source: enum nft_ct_helper_attributes. Without L3PROTO an inet object covers both families and
    silently one where the helper knows only one: read the object back to learn which.
    """
    inner = string(1, helper) + u8(3, l4_protocol)
    body = string(1, table) + string(2, name) + u32(3, OBJECT_CT_HELPER) + nested(4, inner)
    return Request(Operation.NEWOBJ, wire.NLM_F_CREATE, body)


@cache
def del_ct_helper(table: str, name: str) -> Request:
    """Delete a ct helper object that no element uses any more."""
    return Request(
        Operation.DELOBJ, 0, string(1, table) + string(2, name) + u32(3, OBJECT_CT_HELPER)
    )


@cache
def new_object_map(
    table: str, name: str, types: tuple[int, ...], lengths: tuple[int, ...], *, interval: bool
) -> Request:
    """Create a map from a concatenation to ct helper objects.

    Shape: *types* are nft's data types of the key's parts, *lengths* their sizes in bytes; in the
    key each part fills whole 4-byte registers. The OBJECT flag goes without MAP (EOPNOTSUPP).
    """
    flags = SetFlag.OBJECT
    description = b""
    if interval:
        flags |= SetFlag.INTERVAL | SetFlag.CONCAT
        description = nested(9, nested(2, *(nested(1, u32(1, length)) for length in lengths)))
    body = (
        set_place(table, name)
        + u32(3, flags)
        + u32(4, key_type(types))
        + u32(5, sum((length + 3) & ~3 for length in lengths))
        + u32(15, OBJECT_CT_HELPER)
        + u32(10, 1)
        + description
    )
    return Request(Operation.NEWSET, wire.NLM_F_CREATE, body)


def key_type(types: Iterable[int]) -> int:
    """Return nft's number for the concatenation of *types*, 6 bits each."""
    packed = 0
    for each in types:
        packed = packed << 6 | each
    return packed


@cache
def set_place(table: str, name: str) -> bytes:
    """Encode the body that names a set or map, or asks for its elements."""
    return string(1, table) + string(2, name)


def new_elements(table: str, name: str, elements: Iterable[Element]) -> list[Request]:
    """Add elements; each is bound to its object for good."""
    return new_encoded_elements(table, name, [element(*each) for each in elements])


def new_encoded_elements(table: str, name: str, encoded: Sequence[bytes]) -> list[Request]:
    """Add elements that are bytes already."""
    return _element_requests(Operation.NEWSETELEM, wire.NLM_F_CREATE, table, name, encoded)


def del_elements(table: str, name: str, elements: Iterable[Element]) -> list[Request]:
    """Delete elements by key, whatever object they are bound to."""
    items = [element(each.key, each.end, "") for each in elements]
    return _element_requests(Operation.DELSETELEM, 0, table, name, items)


@lru_cache(maxsize=4096)
def element(key: bytes, end: bytes | None, target: str) -> bytes:
    """Encode one element; *target* "" names none, which is how elements are deleted."""
    body = nested(1, attribute(1, key))
    if end is not None:
        body += nested(10, attribute(1, end))
    if target:
        body += string(9, target)
    return nested(1, body)


def _element_requests(
    operation: Operation, flags: int, table: str, name: str, items: Sequence[bytes]
) -> list[Request]:
    place = set_place(table, name)
    return [
        Request(operation, flags, place + nested(3, *items[start : start + _ELEMENTS_AT_ONCE]))
        for start in range(0, len(items), _ELEMENTS_AT_ONCE)
    ]


def u16_key(value: int) -> bytes:
    """Encode a port as it fills its register."""
    return value.to_bytes(2, "big") + b"\0\0"


def u8_key(value: int) -> bytes:
    """Encode a protocol number as it fills its register."""
    return bytes((value, 0, 0, 0))
