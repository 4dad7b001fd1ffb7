"""Requests, responses and session descriptions, as text. No socket enters here.

Only what is written here is read here: header names are spelled in one way, lines are not folded.
Source: RFC 3261 §7 (messages), §8.2.6 (responses); RFC 4566 §5 (SDP).
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self

from ctherd.errors import RemoteProtocolError
from ctherd.lab.endpoint import Endpoint

END_OF_HEADERS: Final = b"\r\n\r\n"
SDP: Final = ("Content-Type", "application/sdp")

_ECHOED: Final = ("Via", "From", "To", "Call-ID", "CSeq")
_TAG: Final = ";tag="
_AUDIO: Final = re.compile(r"^c=IN IP[46] (\S+)\r$.*^m=audio (\d+) ", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Message:
    """One request or response.

    Shape: *headers* are names and values in order; Content-Length is the body's affair.
    """

    first_line: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    def encode(self) -> bytes:
        """Return it as it is sent."""
        headers = (*self.headers, ("Content-Length", str(len(self.body))))
        lines = [self.first_line, *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join(lines).encode() + END_OF_HEADERS + self.body.encode()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read what ``encode`` wrote, and a router may have rewritten."""
        head, _, body = octets.partition(END_OF_HEADERS)
        first_line, *lines = head.decode(errors="replace").split("\r\n")
        headers = ((name, value) for name, _, value in (line.partition(": ") for line in lines))
        kept = tuple(each for each in headers if each[0] != "Content-Length")
        return cls(first_line, kept, body.decode(errors="replace"))

    def accepted(self, tag: str, *more: tuple[str, str], body: str = "") -> "Message":
        """Return the response that accepts this request; *tag* is the accepting side's."""
        echoed = [
            (name, f"{value}{_TAG}{tag}" if name == "To" and _TAG not in value else value)
            for name, value in self.headers
            if name in _ECHOED
        ]
        return Message("SIP/2.0 200 OK", (*echoed, *more), body)


def description(media: Endpoint, payload_type: int, version: int) -> str:
    """Return the session description that asks for audio at *media*."""
    address = f"IN IP{media.host.version} {media.host}"
    lines = (
        "v=0",
        f"o=- 1 {version} {address}",
        "s=-",
        f"c={address}",
        "t=0 0",
        f"m=audio {media.port} RTP/AVP {payload_type}",
    )
    return "".join(f"{line}\r\n" for line in lines)


def described(body: str) -> Endpoint:
    """Return where a session description asks for audio.

    Raises: RemoteProtocolError if it does not.
    """
    found = _AUDIO.search(body)
    if found is None:
        raise RemoteProtocolError(f"there is no audio in the session description {body!r}")
    return Endpoint(ip_address(found[1]), int(found[2]))
