"""Who talks to whom, as every request of a caller says it.

Source: RFC 3261 §8.1.1 (requests), §12.2 (within a dialog); RFC 3581 (rport).
"""

import secrets
from dataclasses import dataclass, field

from ctherd.lab.endpoint import Endpoint, bare
from ctherd.lab.sip.message import SDP, Message
from ctherd.model.catalog import Protocol


@dataclass(frozen=True, slots=True)
class Parties:
    """A caller and a callee, each at its own address as it sees it."""

    transport: Protocol
    caller: Endpoint
    callee: Endpoint
    call_id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def tag(self) -> str:
        """What the callee calls its end of the dialog."""
        return f"callee-{self.call_id}"

    @property
    def contact(self) -> tuple[str, str]:
        """Where the callee wants requests of the dialog."""
        return "Contact", f"<sip:callee@{self.callee};transport={self.transport}>"

    def request(
        self, method: str, sequence: int, *, within: bool = False, body: str = ""
    ) -> Message:
        """Return a request of the caller; *within* a dialog, or one that may begin one."""
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        tag = f";tag={self.tag}" if within else ""
        headers = (
            ("Via", f"SIP/2.0/{self.transport.upper()} {self.caller};branch={branch};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:caller@{bare(self.caller.host)}>;tag=caller-{self.call_id}"),
            ("To", f"<sip:callee@{bare(self.callee.host)}>{tag}"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{sequence} {method}"),
            ("Contact", f"<sip:caller@{self.caller};transport={self.transport}>"),
        )
        first_line = f"{method} sip:callee@{self.callee} SIP/2.0"
        return Message(first_line, (*headers, SDP) if body else headers, body)
