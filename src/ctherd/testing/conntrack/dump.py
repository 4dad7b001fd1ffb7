"""A running dump of flows or expectations."""

from collections import deque
from dataclasses import dataclass, field

from ctherd.testing.conntrack.machine import NEW, Conntrack
from ctherd.testing.wire import (
    DUMP_FILTERED,
    MULTI,
    SUBSYSTEM_CONNTRACK,
    Message,
    done,
    message,
)


@dataclass(slots=True)
class ConntrackDump:
    """One dump of one socket, of what there was when it began."""

    conntrack: Conntrack
    request: Message
    portid: int
    finished: bool = False
    _left: deque[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._left = deque(
            self._message(family, body) for family, body in self.conntrack.dump(self.request)
        )

    def fill(self, limit: int) -> bytes:
        """Return the next datagram, of at most *limit* bytes; the last one is DONE alone."""
        if not self._left:
            self.finished = True
            return done(self.request.seq, self.portid)
        packed = self._left.popleft()
        while self._left and len(packed) + len(self._left[0]) <= limit:
            packed += self._left.popleft()
        return packed

    def _message(self, family: int, body: bytes) -> bytes:
        filtered = self.request.subsystem == SUBSYSTEM_CONNTRACK and (
            self.request.family or self.request.body
        )
        flags = MULTI | (DUMP_FILTERED if filtered else 0)
        kind = self.request.subsystem << 8 | NEW
        return message(kind, flags, self.request.seq, self.portid, family, 0, body)
