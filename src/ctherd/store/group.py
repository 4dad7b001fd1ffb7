"""Commits that share a transaction, decided one after the other in memory, before any is written.

Between two statements SQLite gives other threads their turn, and under load each turn is long. So
a group needs few of them, however many commits it has: what they depend on is read at once, they
are decided here, and what they made is written at once.
"""

from collections.abc import Callable, MutableMapping

from ctherd.store.order import Committed, Order
from ctherd.store.port import ABSENT, Conflict, Event, Expect, Put, Revision, Stored, Write

Read = Callable[[str], Stored | None]
"""What stands at a key, before the group."""


class Group:
    """Decides orders, each on what those before it made.

    Shape: *revision* is that of the last commit; *revisions* those of the keys that any order
    expects or deletes, without the absent ones; *done* those of write ids that were committed
    before. *commits* have happened when they are written; *made* is what then stands at each key
    (None: nothing).
    """

    def __init__(
        self,
        revision: Revision,
        revisions: MutableMapping[str, Revision],
        done: MutableMapping[str, Revision],
        read: Read,
    ) -> None:
        self.revision = revision
        self.commits: list[Committed] = []
        self.made: dict[str, Stored | None] = {}
        self._revisions = revisions
        self._done = done
        self._read = read

    def decide(self, order: Order) -> Revision | Conflict:
        """Return what becomes of *order*."""
        if order.write_id in self._done:
            return self._done[order.write_id]
        for expect in order.expects:
            if self._revisions.get(expect.key, ABSENT) != expect.revision:
                return self._conflict(expect)
        self.revision = Revision(self.revision + 1)
        events = tuple(event for write in order.writes if (event := self._event(write)))
        self.commits.append(Committed(self.revision, events, order.write_id))
        self._done[order.write_id] = self.revision
        return self.revision

    def _conflict(self, expect: Expect) -> Conflict:
        known = self.made if expect.key in self.made else None
        return Conflict(expect.key, known[expect.key] if known else self._read(expect.key))

    def _event(self, write: Write) -> Event | None:
        """Note what *write* makes; None if it makes no difference."""
        if isinstance(write, Put):
            self._revisions[write.key] = self.revision
            self.made[write.key] = Stored(write.key, write.value, self.revision)
            return Event(write.key, write.value, self.revision)
        if self._revisions.pop(write.key, None) is None:
            return None
        self.made[write.key] = None
        return Event(write.key, None, self.revision)
