"""Another process that changes the ruleset, through the same state machine as everybody."""

import struct
from typing import TYPE_CHECKING, Final

from ctherd.testing.endpoint import FakeSocket
from ctherd.testing.nf_tables.operations import Operation
from ctherd.testing.wire import (
    APPEND,
    BATCH_BEGIN,
    BATCH_END,
    CREATE,
    ERROR,
    INET,
    REQUEST,
    SUBSYSTEM_NF_TABLES,
    attribute,
    be32,
    message,
    text,
)

if TYPE_CHECKING:
    from ctherd.testing.netns import FakeNetns

_PID: Final = 31337
_UNRELATED: Final = "unrelated"


class Stranger:
    """A process with a socket of its own; use it as a context manager, or close it.

    Every method returns the errno of the first message that failed, or 0.
    """

    def __init__(self, netns: "FakeNetns", *, process: str = "nft", pid: int = _PID) -> None:
        self._socket: FakeSocket = netns.connect(pid=pid, process=process)

    def __enter__(self) -> "Stranger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._socket.close()

    def commit(self, *requests: tuple[int, int, bytes], family: int = INET) -> int:
        """Send (operation, flags, body) requests as one batch."""
        begin = message(BATCH_BEGIN, REQUEST, 0, 0, 0, SUBSYSTEM_NF_TABLES, b"")
        end = message(BATCH_END, REQUEST, 0, 0, 0, SUBSYSTEM_NF_TABLES, b"")
        packed = (
            message(SUBSYSTEM_NF_TABLES << 8 | op, REQUEST | flags, seq, 0, family, 0, body)
            for seq, (op, flags, body) in enumerate(requests, 1)
        )
        self._socket.send(begin + b"".join(packed) + end)
        return self._first_error()

    def touch(self) -> int:
        """Commit something that has nothing to do with anybody."""
        return self.commit(
            (Operation.NEWTABLE, CREATE, text(1, _UNRELATED)),
            (Operation.DELTABLE, 0, text(1, _UNRELATED)),
        )

    def flush_ruleset(self) -> int:
        """``nft flush ruleset``: everything goes that no open socket guards."""
        return self.commit((Operation.DELTABLE, 0, b""), family=0)

    def add_table(self, table: str, *, flags: int = 0) -> int:
        """``nft add table inet …``."""
        return self.commit((Operation.NEWTABLE, CREATE, text(1, table) + be32(2, flags)))

    def delete_table(self, table: str) -> int:
        """``nft delete table inet …``."""
        return self.commit((Operation.DELTABLE, 0, text(1, table)))

    def add_chain(self, table: str, chain: str) -> int:
        """``nft add chain inet …`` without a hook."""
        return self.commit((Operation.NEWCHAIN, CREATE, text(1, table) + text(3, chain)))

    def delete_chain(self, table: str, chain: str) -> int:
        """``nft delete chain inet …``, with its rules."""
        return self.commit((Operation.DELCHAIN, 0, text(1, table) + text(3, chain)))

    def add_counter_rule(self, table: str, chain: str) -> int:
        """``nft add rule inet … counter``."""
        expression = attribute(1, text(1, "counter") + attribute(2, b""))
        body = text(1, table) + text(2, chain) + attribute(4, expression)
        return self.commit((Operation.NEWRULE, CREATE | APPEND, body))

    def flush_chain(self, table: str, chain: str) -> int:
        """``nft flush chain inet …``."""
        return self.commit((Operation.DELRULE, 0, text(1, table) + text(2, chain)))

    def add_element(self, table: str, name: str, key: bytes, target: str) -> int:
        """``nft add element inet … { key : "target" }``."""
        element = attribute(1, attribute(1, attribute(1, key)) + text(9, target))
        body = text(1, table) + text(2, name) + attribute(3, element)
        return self.commit((Operation.NEWSETELEM, CREATE, body))

    def delete_element(self, table: str, name: str, key: bytes) -> int:
        """``nft delete element inet … { key }``."""
        element = attribute(1, attribute(1, attribute(1, key)))
        body = text(1, table) + text(2, name) + attribute(3, element)
        return self.commit((Operation.DELSETELEM, 0, body))

    def flush_map(self, table: str, name: str) -> int:
        """``nft flush map inet …``."""
        return self.commit((Operation.DELSETELEM, 0, text(1, table) + text(2, name)))

    def add_helper_object(self, table: str, name: str, helper: str, l4: int) -> int:
        """``nft add ct helper inet …``."""
        content = text(1, helper) + attribute(3, bytes((l4,)))
        body = text(1, table) + text(2, name) + be32(3, 3) + attribute(4, content)
        return self.commit((Operation.NEWOBJ, CREATE, body))

    def delete_helper_object(self, table: str, name: str) -> int:
        """``nft delete ct helper inet …``."""
        return self.commit((Operation.DELOBJ, 0, text(1, table) + text(2, name) + be32(3, 3)))

    def _first_error(self) -> int:
        first = 0
        while True:
            try:
                datagram = self._socket.receive(wait=False)
            except BlockingIOError:
                return first
            kind, code = struct.unpack_from("=4xH10xi", datagram)
            if kind == ERROR and not first:
                first = -code
