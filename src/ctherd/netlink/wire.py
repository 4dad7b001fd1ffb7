"""Netlink framing: messages, attributes, errors. Pure bytes, nothing of any subsystem.

Source: linux/netlink.h. Headers are in host byte order; what nf_tables and ctnetlink carry in
attributes is big-endian. Everything is padded to 4 bytes.
"""

import errno as _errno
import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ctherd.errors import RemoteProtocolError

NLM_F_REQUEST: Final = 0x001
NLM_F_MULTI: Final = 0x002
NLM_F_ACK: Final = 0x004
NLM_F_DUMP: Final = 0x300
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800
NLM_F_ACK_TLVS: Final = 0x200

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLMSGERR_ATTR_MSG: Final = 1

_NESTED: Final = 0x8000
_KIND_MASK: Final = 0x3FFF
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")

_HEADER: Final = struct.Struct("=IHHII")
NETFILTER_HEADER: Final = struct.Struct("=IHHIIBBH")
"""size, kind, flags, sequence, port id, family, version, resource: nlmsghdr and nfgenmsg"""
_ATTRIBUTE: Final = struct.Struct("=HH")
_SIZE: Final = struct.Struct("=I")
_ERRNO: Final = struct.Struct("=i")
_BRIEF_ANSWER: Final = struct.Struct("=4xH2xI4xi")
"""kind, sequence and negative errno: all of an answer but the words"""
_U16: Final = struct.Struct(">H")
_U32: Final = struct.Struct(">I")
_RESOURCE: Final = struct.Struct(">H")


class Message(NamedTuple):
    """One received message. Shape: *body* is what follows the netlink header."""

    kind: int
    flags: int
    sequence: int
    body: memoryview


class Answer(NamedTuple):
    """What the kernel says of one request. Shape: *errno* 0 is an acknowledgement."""

    sequence: int
    errno: int
    words: str

    @property
    def in_words(self) -> str:
        """The kernel's own words where it has any, and the errno's name: "… (ENOENT)"."""
        return f"{self.words or os.strerror(self.errno)} ({_errno.errorcode.get(self.errno, '?')})"


# -- writing ---------------------------------------------------------------------------------------


def attribute(kind: int, payload: bytes) -> bytes:
    """Encode one attribute."""
    size = len(payload) + 4
    return _ATTRIBUTE.pack(size, kind) + payload + _PADDING[size & 3]


def nested(kind: int, *parts: bytes) -> bytes:
    """Encode an attribute that contains the attributes *parts*."""
    return attribute(kind | _NESTED, b"".join(parts))


def string(kind: int, text: str) -> bytes:
    """Encode a NUL-terminated string attribute."""
    return attribute(kind, text.encode() + b"\0")


def u8(kind: int, value: int) -> bytes:
    """Encode an 8-bit attribute."""
    return attribute(kind, bytes((value,)))


def u16(kind: int, value: int) -> bytes:
    """Encode a big-endian 16-bit attribute."""
    return attribute(kind, _U16.pack(value))


def u32(kind: int, value: int) -> bytes:
    """Encode a big-endian 32-bit attribute; negative values as two's complement."""
    return attribute(kind, _U32.pack(value & 0xFFFFFFFF))


def netfilter_message(
    kind: int, flags: int, sequence: int, family: int, body: bytes, resource: int = 0
) -> bytes:
    """Encode one nfnetlink message.

    Shape: *kind* is subsystem << 8 | operation; *body* is a run of attributes, already padded;
    *resource* is nfgenmsg.res_id in host order, stored big-endian.
    """
    swapped = (resource & 0xFF) << 8 | resource >> 8
    return (
        NETFILTER_HEADER.pack(
            20 + len(body), kind, flags | NLM_F_REQUEST, sequence, 0, family, 0, swapped
        )
        + body
    )


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Encode one netlink message of any other subsystem; *body* is padded to 4 bytes already."""
    return _HEADER.pack(16 + len(body), kind, flags | NLM_F_REQUEST, sequence, 0) + body


# -- reading ---------------------------------------------------------------------------------------


def messages(datagram: memoryview) -> Iterator[Message]:
    """Yield the messages of one datagram.

    Raises: RemoteProtocolError if a length does not fit.
    """
    offset, end = 0, len(datagram)
    while offset + 16 <= end:
        size, kind, flags, sequence, _ = _HEADER.unpack_from(datagram, offset)
        if size < 16 or offset + size > end:
            raise RemoteProtocolError(f"a netlink message of {size} bytes does not fit")
        yield Message(kind, flags, sequence, datagram[offset + 16 : offset + size])
        offset += (size + 3) & ~3


def attributes(body: memoryview, offset: int = 0) -> dict[int, memoryview]:
    """Return the attributes from *offset* on, by kind; of repeated kinds the last.

    Raises: RemoteProtocolError if a length does not fit.
    """
    # Not by attribute_list: most of what is decoded goes through here.
    found: dict[int, memoryview] = {}
    end = len(body)
    while offset + 4 <= end:
        size, kind = _ATTRIBUTE.unpack_from(body, offset)
        if size < 4 or offset + size > end:
            raise RemoteProtocolError(f"a netlink attribute of {size} bytes does not fit")
        found[kind & _KIND_MASK] = body[offset + 4 : offset + size]
        offset += (size + 3) & ~3
    return found


def attribute_list(body: memoryview, offset: int = 0) -> Iterator[tuple[int, memoryview]]:
    """Yield (kind, payload) of the attributes from *offset* on, in order.

    Raises: RemoteProtocolError if a length does not fit.
    """
    end = len(body)
    while offset + 4 <= end:
        size, kind = _ATTRIBUTE.unpack_from(body, offset)
        if size < 4 or offset + size > end:
            raise RemoteProtocolError(f"a netlink attribute of {size} bytes does not fit")
        yield kind & _KIND_MASK, body[offset + 4 : offset + size]
        offset += (size + 3) & ~3


def text(payload: memoryview | bytes) -> str:
    """Decode a string attribute; undecodable bytes, which only others can send, are replaced."""
    return bytes(payload).rstrip(b"\0").decode(errors="replace")


def number(payload: memoryview | bytes) -> int:
    """Decode a big-endian integer attribute of any width."""
    return int.from_bytes(payload, "big")


def signed(payload: memoryview | bytes) -> int:
    """Decode a big-endian two's complement attribute of any width."""
    return int.from_bytes(payload, "big", signed=True)


def last(datagram: memoryview) -> Message:
    """Return the last message of a datagram; of those before it only their lengths are read.

    Raises: RemoteProtocolError if a length does not fit.
    """
    offset, end = 0, len(datagram)
    while True:
        size = _SIZE.unpack_from(datagram, offset)[0] if end - offset >= _HEADER.size else 0
        if not _HEADER.size <= size <= end - offset:
            raise RemoteProtocolError(f"a netlink message of {size} bytes does not fit")
        after = offset + (size + 3 & ~3)
        if after >= end:
            return next(messages(datagram[offset:]))
        offset = after


def says(datagram: memoryview, sequence: int, errno: int) -> bool:
    """Tell whether *datagram* answers the message that bore *sequence* with *errno*; 0 is a yes."""
    if len(datagram) < _BRIEF_ANSWER.size:
        return False
    return _BRIEF_ANSWER.unpack_from(datagram) == (NLMSG_ERROR, sequence, -errno)


def answer(received: Message) -> Answer:
    """Decode an NLMSG_ERROR message, which also carries acknowledgements.

    Shape: the errno is positive; *words* is the kernel's extended-ACK text, or "".
    """
    errno = -_ERRNO.unpack_from(received.body)[0]
    words = ""
    if errno and received.flags & NLM_F_ACK_TLVS:
        # NETLINK_CAP_ACK: of the request only its 16-byte header is echoed, after the errno.
        extended = attributes(received.body, 20)
        words = text(extended.get(NLMSGERR_ATTR_MSG, b""))
    return Answer(received.sequence, errno, words)
