"""Faults that a test plants, to be met once."""

import os
from collections import deque
from dataclasses import dataclass, field

from ctherd.testing.refusal import Refused
from ctherd.testing.wire import SUBSYSTEM_NF_TABLES, Message

Place = int | str
"""An nf_tables operation, or "send" or "receive"."""


@dataclass(slots=True)
class Faults:
    """Planted faults by place; each is met by the next that comes along."""

    _planted: dict[Place, deque[tuple[int, str]]] = field(default_factory=dict)

    def plant(self, place: Place, errno: int, words: str = "") -> None:
        """Make the next one at *place* fail."""
        self._planted.setdefault(place, deque()).append((errno, words))

    def refuse(self, message: Message) -> None:
        """Raise Refused if a fault was planted for the nf_tables operation of *message*."""
        if message.subsystem == SUBSYSTEM_NF_TABLES and (fault := self._take(message.op)):
            raise Refused(*fault)

    def fail(self, place: str) -> None:
        """Raise OSError if a fault was planted for the call."""
        if fault := self._take(place):
            raise OSError(fault[0], fault[1] or os.strerror(fault[0]))

    def _take(self, place: Place) -> tuple[int, str] | None:
        planted = self._planted.get(place)
        return planted.popleft() if planted else None
