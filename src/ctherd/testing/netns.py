"""One network namespace of the scripted kernel, from its creation to its death."""

import itertools
import os
from typing import TYPE_CHECKING

from ctherd.testing.conntrack.machine import Conntrack
from ctherd.testing.endpoint import FakeSocket
from ctherd.testing.faults import Faults, Place
from ctherd.testing.nf_tables import tables
from ctherd.testing.nf_tables.state import Ruleset
from ctherd.testing.nf_tables.transaction import Abilities
from ctherd.testing.stranger import Stranger
from ctherd.testing.wire import Attribute, Message

if TYPE_CHECKING:
    from ctherd.testing.kernel import FakeKernel

_portids = itertools.count(100_001)
_GENERATION_AT = slice(24, 28)
_PID_AT = slice(32, 36)


class FakeNetns:
    """One namespace: a ruleset, a conntrack table, and the sockets that keep it alive.

    Shape: *cookie* is never given to another one, *nsid* may be, as in the real kernel. A deleted
    namespace lives on while a socket in it is open.
    """

    def __init__(self, kernel: "FakeKernel", name: str, cookie: int, nsid: int) -> None:
        self.name = name
        self.cookie = cookie
        self.nsid = nsid
        self.ruleset = Ruleset()
        self.conntrack = Conntrack(kernel.abilities.helpers)
        self.deleted = False
        self._kernel = kernel
        self._sockets: list[FakeSocket] = []
        self._faults = Faults()

    @property
    def abilities(self) -> Abilities:
        """What the kernel was built with."""
        return self._kernel.abilities

    @property
    def alive(self) -> bool:
        """Whether it still exists: it has a name, or an open socket pins it."""
        return not self.deleted or bool(self._sockets)

    def connect(self, *, pid: int | None = None, process: str = "ctherd") -> FakeSocket:
        """Open a netlink socket in this namespace, as a process called *process*."""
        caller = os.getpid() if pid is None else pid
        opened = FakeSocket(self, next(_portids), caller, process)
        self._sockets.append(opened)
        return opened

    def delete(self) -> None:
        """Take the name away (``ip netns del``)."""
        self._kernel.delete(self.name)

    def recreate(self) -> "FakeNetns":
        """Delete it and make another one of the same name; return that."""
        if not self.deleted:
            self.delete()
        return self._kernel.create(self.name)

    # -- other processes ---------------------------------------------------------------------------

    def stranger(self, *, process: str = "nft") -> Stranger:
        """Start another process with a socket in this namespace."""
        return Stranger(self, process=process)

    def foreign_commit(self) -> int:
        """Let an unrelated writer begin a new generation; return its errno."""
        with self.stranger() as other:
            return other.touch()

    def flush_ruleset(self) -> int:
        """Let another process flush the ruleset; return its errno."""
        with self.stranger() as other:
            return other.flush_ruleset()

    def nft_add_element(self, table: str, name: str, key: bytes, target: str) -> int:
        """Let another process add an element; return its errno."""
        with self.stranger() as other:
            return other.add_element(table, name, key, target)

    def nft_delete_element(self, table: str, name: str, key: bytes) -> int:
        """Let another process delete an element; return its errno."""
        with self.stranger() as other:
            return other.delete_element(table, name, key)

    def nft_delete_table(self, table: str) -> int:
        """Let another process delete a table; return its errno."""
        with self.stranger() as other:
            return other.delete_table(table)

    # -- faults ------------------------------------------------------------------------------------

    def fail_next(self, place: Place, errno: int, words: str = "") -> None:
        """Make the next nf_tables operation *place* fail, or the next "send" or "receive"."""
        self._faults.plant(place, errno, words)

    def refuse_injected(self, message: Message) -> None:
        """Raise Refused if a fault was planted for *message*."""
        self._faults.refuse(message)

    def check_injected(self, place: str) -> None:
        """Raise OSError if a fault was planted for the call *place*."""
        self._faults.fail(place)

    # -- what its sockets tell it ------------------------------------------------------------------

    def before(self, datagram: bytes) -> None:
        """Let tests look at a datagram, or end the process, before it is carried out."""
        if self._kernel.before_datagram is not None:
            self._kernel.before_datagram(self, datagram)
        self._faults.fail("send")

    def after(self, datagram: bytes) -> None:
        """Let tests look at a datagram, or end the process, after it was carried out."""
        if self._kernel.after_datagram is not None:
            self._kernel.after_datagram(self, datagram)

    def announce(self, generation_message: bytes) -> None:
        """Tell every listener of an effective commit."""
        generation = Attribute(generation_message[_GENERATION_AT], 0).number
        pid = Attribute(generation_message[_PID_AT], 0).number
        self._kernel.announce(self, generation, pid, generation_message)

    def disconnect(self, closed: FakeSocket) -> None:
        """Drop a socket with everything that it owned."""
        self._sockets.remove(closed)
        tables.release(self.ruleset.tables, closed.portid)
