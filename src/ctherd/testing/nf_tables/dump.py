"""A running dump: filled datagram by datagram from what the ruleset holds at that moment."""

from dataclasses import dataclass

from ctherd.testing.nf_tables import read, show
from ctherd.testing.nf_tables.operations import Operation
from ctherd.testing.nf_tables.state import Ruleset
from ctherd.testing.wire import (
    DUMP_INTERRUPTED,
    MULTI,
    SUBSYSTEM_NF_TABLES,
    Message,
    done,
    message,
)

_MESSAGE_BYTES = 20
_ELEMENT_LIST_BYTES = 4


@dataclass(slots=True)
class Dump:
    """One dump of one socket.

    The kernel produces a datagram when there is room for it, goes on by counting what it has
    told, and marks the first message after the ruleset moved (that one only) as interrupted.
    """

    ruleset: Ruleset
    request: Message
    portid: int
    told: int = 0
    finished: bool = False
    _generation: int | None = None

    def fill(self, limit: int) -> bytes:
        """Return the next datagram, of at most *limit* bytes; the last one ends with DONE."""
        if self.request.op == Operation.GETSETELEM:
            return self._fill_elements(limit)
        packed: list[bytes] = []
        size = 0
        for index, entry in enumerate(read.entries(self.ruleset, self.request)):
            if index < self.told:
                continue
            length = _MESSAGE_BYTES + len(entry.body)
            if packed and size + length > limit:
                break
            packed.append(self._message(entry))
            size += length
        self.told += len(packed)
        return b"".join(packed) if packed else self._end()

    def _fill_elements(self, limit: int) -> bytes:
        """Pack elements into one message; an empty one, with DONE behind it, ends the list."""
        found = read.dumped_set(self.ruleset, self.request)
        if found is None:
            return self._end()
        table, owner = found
        size = _MESSAGE_BYTES + _ELEMENT_LIST_BYTES + len(show.elements(table, owner, b""))
        packed: list[bytes] = []
        for element in list(owner.elements.values())[self.told :]:
            shown = show.element(element)
            if packed and size + len(shown) > limit:
                break
            packed.append(shown)
            size += len(shown)
        self.told += len(packed)
        body = show.elements(table, owner, b"".join(packed))
        entry = read.Entry(Operation.NEWSETELEM, 0, table.family, body)
        told = self._message(entry)
        return told if packed else told + self._end()

    def _message(self, entry: read.Entry) -> bytes:
        flags = MULTI | entry.flags
        if self._generation not in (None, self.ruleset.generation):
            flags |= DUMP_INTERRUPTED
        self._generation = self.ruleset.generation
        kind = SUBSYSTEM_NF_TABLES << 8 | entry.op
        seq = self.request.seq
        return message(
            kind, flags, seq, self.portid, entry.family, self.ruleset.generation, entry.body
        )

    def _end(self) -> bytes:
        self.finished = True
        return done(self.request.seq, self.portid)
