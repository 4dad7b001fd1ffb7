"""What NetBIOS name service says: who has this name, and that it is this host.

Source: RFC 1002, sections 4.2.1 (header), 4.2.12 (query), 4.2.13 (positive response); names are
encoded as in RFC 1001, section 14.1.
"""

import struct
from ipaddress import IPv4Address
from typing import Final

PORT: Final = 137

_HEADER: Final = struct.Struct("!HHHHHH")  # transaction, flags, questions, answers, and two more
_QUERY_BY_BROADCAST: Final = 0x0110
_POSITIVE_RESPONSE: Final = 0x8500
_IS_RESPONSE, _RESULT = 0x8000, 0x000F
_NB_IN: Final = struct.pack("!HH", 0x0020, 0x0001)
_NAME: Final = slice(_HEADER.size, _HEADER.size + 34)
_TO_LIVE_S: Final = 60


def name(number: int) -> str:
    """Return the name of that number."""
    return f"LAB{number}"


def question(number: int) -> bytes:
    """Return the query by broadcast for the name of that number."""
    header = _HEADER.pack(number, _QUERY_BY_BROADCAST, 1, 0, 0, 0)
    return header + _spelled(name(number)) + _NB_IN


def answer(asked: bytes, host: IPv4Address) -> bytes:
    """Return the response of *host*, which has the name that was asked for."""
    number, *_ = _HEADER.unpack_from(asked)
    header = _HEADER.pack(number, _POSITIVE_RESPONSE, 0, 1, 0, 0)
    data = struct.pack("!H4s", 0, host.packed)
    return header + asked[_NAME] + _NB_IN + struct.pack("!IH", _TO_LIVE_S, len(data)) + data


def understood(answered: bytes) -> str:
    """Say who has which name."""
    _, flags, _, answers, *_ = _HEADER.unpack_from(answered)
    if flags & (_IS_RESPONSE | _RESULT) != _IS_RESPONSE or not answers:
        raise OSError(f"no positive response came, but flags {flags:#x}")
    return f"{_read(answered[_NAME])} is {IPv4Address(answered[-4:])}"


def _spelled(called: str) -> bytes:
    """Spell a name: padded to 16 bytes, of which each half becomes a letter from A on."""
    padded = called.ljust(15).encode() + b"\0"
    halves = (half for byte in padded for half in (byte >> 4, byte & 0xF))
    return b"\x20" + bytes(0x41 + half for half in halves) + b"\0"


def _read(spelled: bytes) -> str:
    halves = [letter - 0x41 for letter in spelled[1:-1]]
    padded = bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))
    return padded[:15].decode().strip()
