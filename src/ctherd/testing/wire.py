"""Netlink as the kernel reads and writes it: an independent, minimal parser and packer.

It must not share code with ctherd.netlink: a mistake there would otherwise prove itself right.

Source: linux/netlink.h, linux/netfilter/nfnetlink.h.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

REQUEST: Final = 0x1
MULTI: Final = 0x2
ACK: Final = 0x4
DUMP_INTERRUPTED: Final = 0x10
DUMP_FILTERED: Final = 0x20
# Flags of requests that read or delete, and of answers; the kernel reuses the bits.
DUMP: Final = 0x300
REPLACE: Final = 0x100
EXCLUSIVE: Final = 0x200
CREATE: Final = 0x400
APPEND: Final = 0x800
CAPPED: Final = 0x100
ACK_TLVS: Final = 0x200

ERROR: Final = 2
DONE: Final = 3
BATCH_BEGIN: Final = 0x10
BATCH_END: Final = 0x11
FIRST_TYPE: Final = 0x10

SUBSYSTEM_CONNTRACK: Final = 1
SUBSYSTEM_EXPECTATION: Final = 2
SUBSYSTEM_NF_TABLES: Final = 10

INET: Final = 1
IPV4: Final = 2
BRIDGE: Final = 7
IPV6: Final = 10

_HEADER: Final = struct.Struct("=IHHII")
_NFGENMSG: Final = struct.Struct(">BBH")
_ATTRIBUTE: Final = struct.Struct("=HH")
BODY_AT: Final = _HEADER.size + _NFGENMSG.size


class Attribute(NamedTuple):
    """One attribute; *offset* is where it begins in its message, as the kernel reports errors."""

    payload: bytes
    offset: int

    @property
    def number(self) -> int:
        """The payload as an integer, which nf_tables and ctnetlink send big-endian."""
        return int.from_bytes(self.payload, "big")

    @property
    def text(self) -> str:
        """The payload as a string, with or without its NUL."""
        return self.payload.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")

    def nested(self) -> dict[int, "Attribute"]:
        """Return the attributes inside; of one that is repeated, the last."""
        return dict(self.items())

    def items(self) -> Iterator[tuple[int, "Attribute"]]:
        """Yield the attributes inside, in order."""
        return parse_attributes(self.payload, self.offset + _ATTRIBUTE.size)


Attributes = dict[int, Attribute]


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a process sent it."""

    kind: int
    flags: int
    seq: int
    family: int
    res_id: int
    header: bytes
    body: bytes

    @property
    def subsystem(self) -> int:
        """The nfnetlink subsystem."""
        return self.kind >> 8

    @property
    def op(self) -> int:
        """The operation within the subsystem."""
        return self.kind & 0xFF

    @property
    def dumps(self) -> bool:
        """Whether a whole listing is asked for."""
        return self.flags & DUMP == DUMP

    def attributes(self) -> Attributes:
        """Return the attributes of the message; of one that is repeated, the last."""
        return dict(parse_attributes(self.body, BODY_AT))


def parse_messages(datagram: bytes) -> Iterator[Message]:
    """Yield the messages of *datagram*; what is cut short ends it, as in the kernel."""
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        size, kind, flags, seq, _ = _HEADER.unpack_from(datagram, offset)
        if size < _HEADER.size or offset + size > len(datagram):
            return
        header = datagram[offset : offset + _HEADER.size]
        family = res_id = 0
        if size >= BODY_AT:
            family, _, res_id = _NFGENMSG.unpack_from(datagram, offset + _HEADER.size)
        body = datagram[offset + BODY_AT : offset + size]
        yield Message(kind, flags, seq, family, res_id, header, body)
        offset += size + -size % 4


def parse_attributes(payload: bytes, at: int) -> Iterator[tuple[int, Attribute]]:
    """Yield (type without its flags, attribute) of *payload*, which begins *at* in its message."""
    offset = 0
    while offset + _ATTRIBUTE.size <= len(payload):
        size, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if size < _ATTRIBUTE.size or offset + size > len(payload):
            return
        inner = payload[offset + _ATTRIBUTE.size : offset + size]
        yield kind & 0x3FFF, Attribute(inner, at + offset)
        offset += size + -size % 4


# -- packing: the kernel sets no NESTED flag in what nf_tables dumps -------------------------------


def attribute(kind: int, payload: bytes) -> bytes:
    """Pack one attribute with its padding."""
    size = len(payload) + _ATTRIBUTE.size
    return _ATTRIBUTE.pack(size, kind) + payload + bytes(-size % 4)


def text(kind: int, value: str) -> bytes:
    """Pack a NUL-terminated string."""
    return attribute(kind, value.encode("utf-8", "surrogateescape") + b"\0")


def be16(kind: int, value: int) -> bytes:
    """Pack a big-endian 16 bit number."""
    return attribute(kind, value.to_bytes(2, "big"))


def be32(kind: int, value: int) -> bytes:
    """Pack a big-endian 32 bit number; negative ones in two's complement."""
    return attribute(kind, (value & 0xFFFFFFFF).to_bytes(4, "big"))


def be64(kind: int, value: int) -> bytes:
    """Pack a big-endian 64 bit number."""
    return attribute(kind, value.to_bytes(8, "big"))


def message(
    kind: int, flags: int, seq: int, portid: int, family: int, res_id: int, body: bytes
) -> bytes:
    """Pack one nfnetlink message."""
    head = _HEADER.pack(BODY_AT + len(body), kind, flags, seq, portid)
    return head + _NFGENMSG.pack(family, 0, res_id & 0xFFFF) + body + bytes(-len(body) % 4)


def done(seq: int, portid: int) -> bytes:
    """Pack the end of a dump."""
    return _HEADER.pack(_HEADER.size + 4, DONE, MULTI, seq, portid) + bytes(4)


def error(request: Message, portid: int, errno: int, words: str, offset: int | None) -> bytes:
    """Pack an error, or with errno 0 an acknowledgement, of *request*.

    Shape: capped (only the header of *request* comes back), with extended-ACK attributes 1
    (words) and 2 (offset of the bad attribute) where there are any.
    """
    tlvs = text(1, words) if words else b""
    tlvs += attribute(2, struct.pack("=I", offset)) if offset is not None else b""
    body = struct.pack("=i", -errno) + request.header + tlvs
    flags = CAPPED | (ACK_TLVS if tlvs else 0)
    return _HEADER.pack(_HEADER.size + len(body), ERROR, flags, request.seq, portid) + body
