"""How SANE's network protocol spells what the lab says: words, strings, calls and records.

Shape: a word is 32 bits, big-endian; a string is its size as a word, and bytes that end in NUL.
Source: SANE Standard Version 1.06, chapter 5, "Network Protocol".
"""

import socket
import struct
from enum import IntEnum
from typing import Final

from ctherd.lab.sockets import exactly

VERSION: Final = 0x01000003
"""1.0, build 3: the revision of the network protocol that is in use."""

GOOD: Final = 0
END_OF_FILE: Final = 5
END_OF_RECORDS: Final = 0xFFFFFFFF
"""In the place of a record's size; one byte follows, which is the status."""


class Call(IntEnum):
    """What a client can ask for."""

    INIT = 0
    OPEN = 2
    CLOSE = 3
    START = 7
    CANCEL = 8
    EXIT = 10


def words(*values: int) -> bytes:
    """Spell words."""
    return struct.pack(f"!{len(values)}I", *values)


def string(text: str) -> bytes:
    """Spell a string."""
    spelled = text.encode() + b"\0"
    return words(len(spelled)) + spelled


def read_words(connection: socket.socket, count: int) -> tuple[int, ...]:
    """Read so many words.

    Raises: OSError.
    """
    return struct.unpack(f"!{count}I", exactly(connection, 4 * count))


def read_string(connection: socket.socket) -> str:
    """Read a string. Raises: OSError."""
    (size,) = read_words(connection, 1)
    return exactly(connection, size).rstrip(b"\0").decode()
