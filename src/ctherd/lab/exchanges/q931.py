"""H.323 by Q.931 and H.245: a call, whose media reach a caller behind the router.

Each exchange is a call of its own, over the one signalling connection. Both sides are played here,
by one thread, in turn; what they say stands in ``h323_call``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from ctherd.lab import sockets
from ctherd.lab.case import REPLY_S, Session, in_both_families
from ctherd.lab.exchanges.h323_call import Call, Party
from ctherd.lab.topology import Station
from ctherd.model.catalog import Family, Protocol

PORT: Final = 1720


@contextmanager
def session(client: Station, server: Station, family: Family, port: int) -> Iterator[Session]:
    """Have a signalling connection from *client* to *port* of *server*.

    Raises: OSError if it cannot be had.
    """
    address = server.address(family)
    with (
        sockets.listening(server, address, port) as door,
        sockets.connected(client, address, port) as caller,
        sockets.accepted(door) as callee,
    ):
        for each in (caller, callee):
            each.settimeout(REPLY_S)
        yield Signalling(Party(client, caller), Party(server, callee), family)


@dataclass(slots=True)
class Signalling:
    """A caller and a callee, each at its end of a signalling connection.

    Shape: *calls* counts them, and is the reference of the last one.
    """

    caller: Party
    callee: Party
    family: Family
    calls: int = 0

    def exchange(self) -> str:
        """Call, and let RTP reach the caller.

        Raises: ExchangeFailed.
        """
        self.calls += 1
        return self._call().hold()

    def alive(self) -> bool:
        """Whether the callee answers a STATUS ENQUIRY on the signalling connection."""
        return sockets.holds(self._call().status)

    def _call(self) -> Call:
        return Call(self.caller, self.callee, self.caller, self.family, self.calls)


CASES: Final = in_both_families("Q.931 and H.245", "Q.931", Protocol.TCP, PORT, session)
