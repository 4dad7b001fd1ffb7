"""The frame of call signalling: a Q.931 message, which carries H.225.0 in its user-user element.

Source: ITU-T Q.931 (05/98) §4 (format; table 4-2, message types); H.225.0 §7.2 (its use).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Self

from ctherd.errors import RemoteProtocolError
from ctherd.lab.h323 import per, signalling

_DISCRIMINATOR: Final = 0x08
_HEADER: Final = struct.Struct("!BBHB")
_REFERENCE_SIZE: Final = 2

FROM_CALLED: Final = 0x8000
"""The flag of a call reference in messages of the side that was called (§4.3)."""

_USER_USER: Final = 0x7E
_USER_USER_HEADER: Final = struct.Struct("!BHB")
_ASN1: Final = 0x05
"""The protocol discriminator within the user-user element: coded by X.208 and X.209."""


class MessageType(IntEnum):
    """Those that the lab sends."""

    SETUP = 0x05
    CONNECT = 0x07
    RELEASE_COMPLETE = 0x5A
    STATUS_ENQUIRY = 0x75
    STATUS = 0x7D


_ELEMENTS: Final[dict[MessageType, bytes]] = {
    # Bearer capability: unrestricted digital information, packet mode, H.221 and H.242.
    MessageType.SETUP: bytes((0x04, 3, 0x88, 0xC0, 0xA5)),
    # Cause: response to STATUS ENQUIRY; call state: active.
    MessageType.STATUS: bytes((0x08, 2, 0x80, 0x9E, 0x14, 1, 10)),
}
"""What else belongs into a message, besides the user-user element."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the call *reference*.

    Shape: *body* is the h323-message-body, or None where there is none.
    """

    kind: MessageType
    reference: int
    body: tuple[str, dict[str, Any]] | None = None

    def encode(self) -> bytes:
        """Return it as it is sent."""
        header = _HEADER.pack(_DISCRIMINATOR, _REFERENCE_SIZE, self.reference, self.kind)
        return header + _ELEMENTS.get(self.kind, b"") + self._user_user()

    def _user_user(self) -> bytes:
        if self.body is None:
            return b""
        pdu = {"h323-message-body": self.body, "h245Tunneling": False}
        content = per.encode(signalling.USER_INFORMATION, {"h323-uu-pdu": pdu})
        return _USER_USER_HEADER.pack(_USER_USER, len(content) + 1, _ASN1) + content

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read what ``encode`` returned, and a router may have rewritten.

        Raises: RemoteProtocolError if it was spoilt.
        """
        try:
            _, _, reference, number = _HEADER.unpack_from(octets)
            kind = MessageType(number)
        except (struct.error, ValueError) as error:
            raise RemoteProtocolError(f"not a message that the lab knows: {error}") from error
        at = _HEADER.size + len(_ELEMENTS.get(kind, b""))
        if at == len(octets):
            return cls(kind, reference)
        information = per.decode(signalling.USER_INFORMATION, octets[at + _USER_USER_HEADER.size :])
        return cls(kind, reference, information["h323-uu-pdu"]["h323-message-body"])
