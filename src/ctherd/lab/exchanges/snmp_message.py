"""SNMPv2c messages as the lab sends them: a few variables, one of which may be an address.

Only what is needed here, in the definite lengths that SNMP prescribes. SNMPv1 traps have another
form, which the kernel's helper does not know: it drops them where it translates addresses.
Source: RFC 3416, section 3 (PDUs); RFC 3417, section 8 (BER); RFC 1901, section 3 (the message).
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Final, NamedTuple

COMMUNITY: Final = "lab"

PLAYPEN: Final = "1.3.6.1.4.1.8072.9999.9999.1.0"
"""Below netSnmpPlaypen, which is anybody's to use."""

UP_TIME: Final = "1.3.6.1.2.1.1.3.0"
TRAP_NAME: Final = "1.3.6.1.6.3.1.1.4.1.0"
COLD_START: Final = "1.3.6.1.6.3.1.1.5.1"
TRAP_ADDRESS: Final = "1.3.6.1.6.3.18.1.3.0"
"""sysUpTime, snmpTrapOID, its value coldStart, and snmpTrapAddress."""

_VERSION_2C: Final = 1
_INTEGER, _OCTETS, _NULL, _OID, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_IP_ADDRESS, _TIME_TICKS = 0x40, 0x43


class Pdu(IntEnum):
    """What a message asks or tells."""

    GET = 0xA0
    RESPONSE = 0xA2
    SET = 0xA3
    TRAP = 0xA7


class Variable(NamedTuple):
    """A name and its value, by the value's tag."""

    oid: str
    tag: int
    content: bytes


def address(oid: str, value: IPv4Address) -> Variable:
    """Return a variable of the type IpAddress, which is what the helper rewrites."""
    return Variable(oid, _IP_ADDRESS, value.packed)


def nothing(oid: str) -> Variable:
    """Return a variable that has no value, as a request for one does."""
    return Variable(oid, _NULL, b"")


def ticks(oid: str, hundredths_s: int) -> Variable:
    """Return a variable that is a time."""
    return Variable(oid, _TIME_TICKS, _number(hundredths_s))


def name(oid: str, value: str) -> Variable:
    """Return a variable whose value is an object identifier."""
    return Variable(oid, _OID, _identifier(value))


class Message(NamedTuple):
    """A message; *request* is what an answer repeats."""

    pdu: Pdu
    request: int
    variables: Sequence[Variable]

    def encoded(self) -> bytes:
        """Spell the message."""
        bindings = (
            _spelled(_SEQUENCE, _spelled(_OID, _identifier(oid)) + _spelled(tag, content))
            for oid, tag, content in self.variables
        )
        no_error = _spelled(_INTEGER, b"\0") * 2
        pdu = _spelled(_INTEGER, _number(self.request)) + no_error
        return _spelled(
            _SEQUENCE,
            _spelled(_INTEGER, _number(_VERSION_2C))
            + _spelled(_OCTETS, COMMUNITY.encode())
            + _spelled(self.pdu, pdu + _spelled(_SEQUENCE, b"".join(bindings))),
        )

    @classmethod
    def of(cls, encoded: bytes) -> "Message":
        """Read a message.

        Raises: ValueError if it is none.
        """
        ((_, message),) = _parts(encoded)
        _, _, (kind, pdu) = _parts(message)
        (_, request), _, _, (_, bindings) = _parts(pdu)
        variables = []
        for _, binding in _parts(bindings):
            (_, oid), (tag, content) = _parts(binding)
            variables.append(Variable(_dotted(oid), tag, content))
        return cls(Pdu(kind), int.from_bytes(request, "big"), variables)

    def addresses(self) -> list[str]:
        """Return the values of the type IpAddress."""
        return [
            str(IPv4Address(each.content)) for each in self.variables if each.tag == _IP_ADDRESS
        ]


def _spelled(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def _parts(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    while encoded:
        tag, size, start = encoded[0], encoded[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(encoded[2:start], "big")
        yield tag, encoded[start : start + size]
        encoded = encoded[start + size :]


def _number(value: int) -> bytes:
    # One bit more than the value has: the first one is the sign.
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _identifier(oid: str) -> bytes:
    first, second, *rest = map(int, oid.split("."))
    return bytes([40 * first + second]) + b"".join(map(_base_128, rest))


def _base_128(number: int) -> bytes:
    septets = [number & 0x7F]
    while number := number >> 7:
        septets.append(number & 0x7F | 0x80)
    return bytes(reversed(septets))


def _dotted(identifier: bytes) -> str:
    numbers, number = [identifier[0] // 40, identifier[0] % 40], 0
    for each in identifier[1:]:
        number = number << 7 | each & 0x7F
        if not each & 0x80:
            numbers.append(number)
            number = 0
    return ".".join(map(str, numbers))
