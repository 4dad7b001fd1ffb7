"""Netlink bytes for the contract suite: its own small packer and parser.

They share nothing with ctherd's codec nor with the fake's parser, so that a misunderstanding in
one of the three shows up as a difference. Scenarios, expectations and sockets must not enter.
"""

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

REQUEST, MULTI, ACK, ECHO = 0x1, 0x2, 0x4, 0x8
DUMP, REPLACE, EXCL, CREATE, APPEND = 0x300, 0x100, 0x200, 0x400, 0x800
CAPPED, ACK_TLVS = 0x100, 0x200
ERROR, DONE = 2, 3
BATCH_BEGIN, BATCH_END = 0x10, 0x11
CTNETLINK, CTNETLINK_EXP, NFTABLES = 1, 2, 10
INET, IPV4, IPV6 = 1, 2, 10

NEWTABLE, GETTABLE, DELTABLE, NEWCHAIN, GETCHAIN, DELCHAIN, NEWRULE, GETRULE, DELRULE = range(9)
NEWSET, GETSET, DELSET, NEWELEM, GETELEM, DELELEM, NEWGEN, GETGEN = range(9, 17)
NEWOBJ, GETOBJ, DELOBJ = 18, 19, 20

OWNER, PERSIST = 2, 4
SET_INTERVAL, SET_MAP, SET_OBJECT, SET_CONCAT = 4, 8, 64, 128
CT_HELPER = 3
PREROUTING, OUTPUT = 0, 3
PROTO_PORT = (12 << 6) | 13  # nft's own numbers of "inet_proto . inet_service"


def attr(kind: int, payload: bytes) -> bytes:
    """Pack one attribute with its padding."""
    size = len(payload) + 4
    return struct.pack("=HH", size, kind) + payload + bytes(-size % 4)


def nest(kind: int, *parts: bytes) -> bytes:
    """Pack attributes inside an attribute."""
    return attr(kind | 0x8000, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """Pack a NUL-terminated string."""
    return attr(kind, value.encode() + b"\0")


def be32(kind: int, value: int) -> bytes:
    """Pack a big-endian 32 bit number."""
    return attr(kind, struct.pack(">I", value & 0xFFFFFFFF))


def message(kind: int, flags: int, seq: int, family: int, body: bytes, res_id: int = 0) -> bytes:
    """Pack one nfnetlink message."""
    size = 20 + len(body)
    head = struct.pack("=IHHII", size, kind, flags | REQUEST, seq, 0)
    return head + struct.pack(">BBH", family, 0, res_id) + body + bytes(-size % 4)


def nft(op: int, body: bytes, *, flags: int = 0, seq: int = 1, family: int = INET) -> bytes:
    """Pack one nf_tables message."""
    return message(NFTABLES << 8 | op, flags, seq, family, body)


def batch(*messages: bytes, genid: int | None = None, seq: int = 0, ack: bool = False) -> bytes:
    """Wrap *messages* into one transaction; *seq* is that of its BEGIN."""
    body = b"" if genid is None else be32(1, genid)
    flags = ACK if ack else 0
    begin = message(BATCH_BEGIN, flags, seq, 0, body, NFTABLES)
    return b"".join((begin, *messages, message(BATCH_END, flags, seq + 1000, 0, b"", NFTABLES)))


# -- what a table is made of --------------------------------------------------------------------


def table(name: str, flags: int | None = None, userdata: bytes | None = None) -> bytes:
    """Pack a table's attributes."""
    return (
        text(1, name)
        + (b"" if flags is None else be32(2, flags))
        + (b"" if userdata is None else attr(6, userdata))
    )


def chain(
    table_name: str,
    name: str,
    hook: int | None = None,
    priority: int = -150,
    policy: int | None = 1,
    kind: str = "filter",
    userdata: bytes | None = None,
) -> bytes:
    """Pack a chain's attributes; with *hook* it is a base chain."""
    body = text(1, table_name) + text(3, name)
    if hook is not None:
        body += nest(4, be32(1, hook), be32(2, priority))
        body += b"" if policy is None else be32(5, policy)
        body += text(7, kind)
    return body + (b"" if userdata is None else attr(12, userdata))


def helper_object(
    table_name: str,
    name: str,
    helper: str,
    l4: int,
    l3: int | None = None,
    userdata: bytes | None = None,
) -> bytes:
    """Pack a ct helper object's attributes."""
    inner = text(1, helper) + attr(3, bytes((l4,)))
    if l3 is not None:
        inner += attr(2, struct.pack(">H", l3))
    body = text(1, table_name) + text(2, name) + be32(3, CT_HELPER) + nest(4, inner)
    return body + (b"" if userdata is None else attr(8, userdata))


def object_name(table_name: str, name: str, kind: int = CT_HELPER) -> bytes:
    """Pack what names one object."""
    return text(1, table_name) + text(2, name) + be32(3, kind)


def object_map(
    table_name: str,
    name: str,
    key_length: int = 8,
    *,
    flags: int = 0,
    set_id: int = 1,
    fields: tuple[int, ...] = (),
    userdata: bytes | None = None,
    object_flag: int = SET_OBJECT,
    key_type: int = PROTO_PORT,
) -> bytes:
    """Pack a map of ct helper objects; *fields* are the lengths of a concatenated interval key."""
    body = text(1, table_name) + text(2, name) + be32(3, object_flag | flags)
    body += be32(4, key_type) + be32(5, key_length) + be32(15, CT_HELPER) + be32(10, set_id)
    if fields:
        body += nest(9, nest(2, *(nest(1, be32(1, length)) for length in fields)))
    return body + (b"" if userdata is None else attr(13, userdata))


def element(
    key: bytes, target: str | None = None, key_end: bytes | None = None, flags: int | None = None
) -> bytes:
    """Pack one element; *target* names its object."""
    body = nest(1, attr(1, key))
    if flags is not None:
        body += be32(3, flags)
    if key_end is not None:
        body += nest(10, attr(1, key_end))
    if target is not None:
        body += text(9, target)
    return nest(1, body)


def elements(table_name: str, set_name: str, *packed: bytes, set_id: int | None = None) -> bytes:
    """Pack an element message."""
    body = text(1, table_name) + text(2, set_name)
    body += b"" if set_id is None else be32(4, set_id)
    return body + (nest(3, *packed) if packed else b"")


def key(l4: int, port: int) -> bytes:
    """Pack a map key ``l4proto . dport``."""
    return struct.pack(">B3xH2x", l4, port)


def expression(name: str, *attributes: bytes) -> bytes:
    """Pack one expression of a rule."""
    return nest(1, text(1, name), nest(2, *attributes))


def lookup_rule(
    table_name: str,
    chain_name: str,
    map_name: str,
    *,
    set_id: int | None = None,
    userdata: bytes | None = None,
    position: int | None = None,
    rule_handle: int | None = None,
) -> bytes:
    """Pack ``ct helper set meta l4proto . th dport map @map_name``."""
    reference = [be32(3, 8), text(4, map_name)]
    if set_id is not None:
        reference.append(be32(5, set_id))
    body = text(1, table_name) + text(2, chain_name)
    if rule_handle is not None:
        body += attr(3, struct.pack(">Q", rule_handle))
    body += nest(
        4,
        expression("meta", be32(2, 16), be32(1, 8)),
        expression("payload", be32(1, 9), be32(2, 2), be32(3, 2), be32(4, 2)),
        expression("objref", *reference),
    )
    if position is not None:
        body += attr(6, struct.pack(">Q", position))
    return body + (b"" if userdata is None else attr(7, userdata))


def handle(number: int) -> bytes:
    """Pack a 64 bit handle, as a value."""
    return struct.pack(">Q", number)


# -- what comes back ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """One message of the kernel."""

    kind: int
    flags: int
    seq: int
    portid: int
    family: int
    res_id: int
    attributes: dict[int, bytes] = field(default_factory=dict)
    errno: int | None = None
    words: str = ""
    offset: int | None = None
    raw: bytes = b""

    @property
    def op(self) -> int:
        """The nf_tables operation."""
        return self.kind & 0xFF

    def number(self, kind: int) -> int:
        """Read an attribute as a big-endian number."""
        return int.from_bytes(self.attributes[kind], "big")

    def name(self, kind: int) -> str:
        """Read an attribute as text."""
        return self.attributes[kind].rstrip(b"\0").decode()


def attribute_list(payload: bytes) -> list[tuple[int, bytes]]:
    """Unpack attributes in order; flags of the type are dropped."""
    found, offset = [], 0
    while offset + 4 <= len(payload):
        size, kind = struct.unpack_from("=HH", payload, offset)
        assert size >= 4, "the kernel sent a short attribute"
        found.append((kind & 0x3FFF, payload[offset + 4 : offset + size]))
        offset += size + -size % 4
    return found


def attributes(payload: bytes) -> dict[int, bytes]:
    """Unpack attributes that occur once each."""
    return dict(attribute_list(payload))


def answers(datagram: bytes) -> Iterator[Answer]:
    """Yield the messages of one datagram."""
    offset = 0
    while offset + 16 <= len(datagram):
        size, kind, flags, seq, portid = struct.unpack_from("=IHHII", datagram, offset)
        body = datagram[offset + 16 : offset + size]
        yield _answer(kind, flags, seq, portid, body)
        offset += size + -size % 4


def _answer(kind: int, flags: int, seq: int, portid: int, body: bytes) -> Answer:
    if kind == ERROR:
        errno = -struct.unpack_from("=i", body)[0]
        assert not flags & ACK_TLVS or flags & CAPPED, "NETLINK_CAP_ACK was asked for"
        told = attributes(body[20:]) if flags & ACK_TLVS else {}
        said = told.get(1, b"").rstrip(b"\0").decode()
        offset = int.from_bytes(told[2], sys.byteorder) if 2 in told else None
        return Answer(
            kind, flags, seq, portid, 0, 0, errno=errno, words=said, offset=offset, raw=body
        )
    if kind == DONE:
        return Answer(kind, flags, seq, portid, 0, 0, raw=body)
    family, _, res_id = struct.unpack_from(">BBH", body)
    return Answer(kind, flags, seq, portid, family, res_id, attributes(body[4:]), raw=body)
