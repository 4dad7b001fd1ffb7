"""A socket of the scripted kernel: what a process sends and what is queued for it."""

import errno
import os
from collections import deque
from typing import TYPE_CHECKING, Final

from ctherd.testing.conntrack import machine as ctnetlink
from ctherd.testing.conntrack.dump import ConntrackDump
from ctherd.testing.nf_tables import batch, read
from ctherd.testing.nf_tables.dump import Dump
from ctherd.testing.nf_tables.operations import Operation
from ctherd.testing.refusal import Refused
from ctherd.testing.wire import (
    ACK,
    BATCH_BEGIN,
    MULTI,
    SUBSYSTEM_CONNTRACK,
    SUBSYSTEM_EXPECTATION,
    SUBSYSTEM_NF_TABLES,
    Message,
    be32,
    error,
    message,
    parse_messages,
    text,
)

if TYPE_CHECKING:
    from ctherd.testing.netns import FakeNetns

QUEUE_DATAGRAMS: Final = 256
"""How many small datagrams the kernel's default receive buffer holds."""

_FIRST_FILL_BYTES: Final = 3776
_FILL_BYTES: Final = 32448


class WouldBlockForever(AssertionError):
    """Nothing is queued, and nothing can come: the real kernel would never wake the caller."""


class FakeSocket:
    """One netlink socket (Transport) of a process, bound to one netns for its whole life."""

    def __init__(self, netns: "FakeNetns", portid: int, pid: int, process: str) -> None:
        self._netns = netns
        self._portid = portid
        self._pid = pid
        self._process = process
        self._queue: deque[bytes] = deque()
        self._dump: Dump | ConntrackDump | None = None
        self._fill_bytes = _FIRST_FILL_BYTES
        self._overrun = False
        self._congested = False
        self._closed = False

    @property
    def portid(self) -> int:
        """The address under which the kernel knows this socket."""
        return self._portid

    def send(self, datagram: bytes) -> None:
        """Carry out one datagram; when this returns, the answers are queued.

        Raises: OSError as injected, or EBADF once closed.
        """
        self._check_open()
        self._netns.before(bytes(datagram))
        self._carry_out(bytes(datagram))
        self._netns.after(bytes(datagram))

    def receive(self, *, wait: bool = True) -> memoryview:
        """Return the next datagram.

        Raises: BlockingIOError if nothing is queued; OSError (ENOBUFS) once, before what is still
        queued, if answers were thrown away; WouldBlockForever instead of waiting in vain.
        """
        self._check_open()
        self._netns.check_injected("receive")
        if self._overrun:
            self._overrun = False
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        if not self._queue:
            if wait:
                raise WouldBlockForever("no answer will ever come")
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        datagram = self._queue.popleft()
        self._congested = self._congested and bool(self._queue)
        self._fill_bytes = _FILL_BYTES
        self._continue_dump()
        return memoryview(datagram)

    def close(self) -> None:
        """Close the socket: what it owned is unguarded, or gone where it does not persist."""
        if not self._closed:
            self._closed = True
            self._netns.disconnect(self)

    # -- what the kernel does ----------------------------------------------------------------------

    def _carry_out(self, datagram: bytes) -> None:
        messages = list(parse_messages(datagram))
        if messages and messages[0].kind == BATCH_BEGIN:
            self._run_batch(messages)
            return
        for each in messages:
            try:
                acknowledged = self._single(each)
            except Refused as refused:
                self._reply(each, refused.errno, refused.words, refused.offset)
            else:
                if acknowledged and each.flags & ACK:
                    self._reply(each)

    def _run_batch(self, messages: list[Message]) -> None:
        outcome = batch.run(
            self._netns.ruleset,
            messages,
            self._portid,
            self._netns.abilities,
            self._netns.refuse_injected,
        )
        if outcome.committed:
            self._netns.announce(self._generation(messages[0].seq))
        for reply in outcome.replies:
            self._reply(reply.message, reply.errno, reply.words, reply.offset)

    def _single(self, request: Message) -> bool:
        """Carry out a message outside of a batch; return whether it may be acknowledged."""
        if request.subsystem == SUBSYSTEM_NF_TABLES:
            return self._read_ruleset(request)
        if request.subsystem in (SUBSYSTEM_CONNTRACK, SUBSYSTEM_EXPECTATION):
            return self._conntrack(request)
        raise Refused(errno.EINVAL)

    def _read_ruleset(self, request: Message) -> bool:
        self._netns.refuse_injected(request)
        if request.op == Operation.GETGEN:
            self._queue_datagram(self._generation(request.seq))
            return True
        if request.op not in batch.READS:
            raise Refused(errno.EINVAL)
        ruleset = self._netns.ruleset
        if request.dumps:
            read.check_dump(ruleset, request)
            self._begin_dump(Dump(ruleset, request, self._portid))
            return False
        for entry in read.one(ruleset, request):
            kind = SUBSYSTEM_NF_TABLES << 8 | entry.op
            told = (entry.family, ruleset.generation, entry.body)
            self._queue_datagram(message(kind, 0, request.seq, self._portid, *told))
        return True

    def _conntrack(self, request: Message) -> bool:
        conntrack = self._netns.conntrack
        self._netns.refuse_injected(request)
        if request.kind == SUBSYSTEM_CONNTRACK << 8 | ctnetlink.GET_STATISTICS:
            self._answer_conntrack(request, request.kind, 0, conntrack.statistics())
            return True
        if request.op != ctnetlink.GET:
            conntrack.handle(request)
            return True
        if request.dumps:
            self._begin_dump(ConntrackDump(conntrack, request, self._portid))
            return False
        family, body = conntrack.one(request)
        self._answer_conntrack(request, request.subsystem << 8 | ctnetlink.NEW, family, body)
        return True

    def _answer_conntrack(self, request: Message, kind: int, family: int, body: bytes) -> None:
        """Queue a single answer, with MULTI as the kernel does, though no DONE will follow."""
        self._queue_datagram(message(kind, MULTI, request.seq, self._portid, family, 0, body))

    def _generation(self, seq: int) -> bytes:
        """Write NEWGEN; the process in it is whoever speaks now, not who committed last."""
        generation = self._netns.ruleset.generation
        body = be32(1, generation) + be32(2, self._pid) + text(3, self._process)
        kind = SUBSYSTEM_NF_TABLES << 8 | Operation.NEWGEN
        return message(kind, 0, seq, self._portid, 0, generation, body)

    def _begin_dump(self, dump: Dump | ConntrackDump) -> None:
        if self._dump is not None:
            raise Refused(errno.EBUSY)
        self._dump = dump
        self._continue_dump()

    def _continue_dump(self) -> None:
        """Fill the next datagram, where there is room: the kernel does so on every receive."""
        if self._dump is None or len(self._queue) >= QUEUE_DATAGRAMS:
            return
        self._queue_datagram(self._dump.fill(self._fill_bytes))
        if self._dump.finished:
            self._dump = None

    def _reply(
        self, request: Message, code: int = 0, words: str = "", offset: int | None = None
    ) -> None:
        self._queue_datagram(error(request, self._portid, code, words, offset))

    def _queue_datagram(self, datagram: bytes) -> None:
        """Queue an answer; once there was no room, all are lost until the queue is empty."""
        if self._congested or len(self._queue) >= QUEUE_DATAGRAMS:
            self._overrun = self._overrun or not self._congested
            self._congested = True
            return
        self._queue.append(datagram)

    def _check_open(self) -> None:
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
