"""The committer: every change of the store and its audit entry, in one commit.

One commit is under way at a time, because each audit entry names the one before. What comes
meanwhile waits, and goes into the next commit together as far as it shares no key. A lone change
goes at once; there is no timer on its way.

    commit says        the changes in it                    the chain
    revision           settled with it                      goes on after it
    Conflict           one is out, the others again         as before
    OutcomeUnknown     wait until the store can tell        as the store tells
    Unavailable        fail: nothing happened               as before

Whoever stops waiting before his change was taken up has changed nothing; after that it is carried
out, with its audit entry, whether he waits or not.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Final, Protocol
from uuid import uuid4

from prometheus_client import Histogram

from ctherd.authz.audit.entry import AuditEntry
from ctherd.authz.audit.trail import Extension, Trail
from ctherd.errors import CtherdError, LocalProtocolError
from ctherd.service.mutation_queue import CAPACITY, TOGETHER, Mutation, MutationQueue
from ctherd.store.port import (
    ABSENT,
    Conflict,
    Expect,
    OutcomeUnknown,
    Revision,
    Store,
    Stored,
    Unavailable,
    Write,
)

_log = logging.getLogger(__name__)

SEAL_AFTER_S: Final = 5.0
"""How long decisions stay without a signature when nothing follows them."""

REACH_S: Final = 5.0
"""How long an answer waits for the mirror; the change is durable by then."""

PATIENCE_S: Final = 10.0
"""How long a stop waits for the store."""

_ATTEMPTS: Final = 3
_PAUSE_S: Final = (0.02, 2.0)
_TOGETHER_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128)


class Mirror(Protocol):
    """The copy in memory that requests are answered from."""

    @property
    def revision(self) -> Revision:
        """Everything up to this revision is in."""

    def get(self, key: str) -> Stored | None:
        """Return *key* as the mirror has it."""

    async def reached(self, revision: Revision) -> None:
        """Return when everything up to *revision* is in."""


class Committer:
    """Commits for one server process.

    Shape: between ``start`` and ``close``, in one event loop; *together* counts how many changes
    and denials shared a commit.
    """

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        trail: Trail,
        *,
        capacity: int = CAPACITY,
        together: int = TOGETHER,
        seal_after_s: float = SEAL_AFTER_S,
        reach_s: float = REACH_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._trail = trail
        self._queue = MutationQueue(capacity=capacity, together=together)
        self._seal_after_s = seal_after_s
        self._reach_s = reach_s
        self._patience_s = patience_s
        self.together = Histogram(
            "ctherd_changes_per_commit",
            "Changes and denials that were committed together.",
            buckets=_TOGETHER_BUCKETS,
            registry=None,
        )
        self._closing = False
        self._worker: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many changes and denials have not been taken up yet."""
        return len(self._queue)

    def start(self) -> None:
        """Begin to work."""
        self._worker = asyncio.create_task(self._work(), name="committer")

    async def commit(
        self, expects: Sequence[Expect], writes: Sequence[Write], entry: AuditEntry
    ) -> Revision | Conflict:
        """Carry out *writes* and note *entry*, both or neither; then the mirror shows it.

        Shape: on a Conflict nothing was written, and nothing noted.
        Raises: Overloaded, Unavailable (nothing happened), OutcomeUnknown (the server stops).
        """
        assert writes, "a change that writes nothing is none"
        answer = await self._carried_out(Mutation(expects, writes, entry))
        if not isinstance(answer, Conflict):
            await self._shown(answer)
        return answer

    async def note(self, entry: AuditEntry) -> None:
        """Note *entry*, for which nothing is written: a denial.

        Raises: as commit.
        """
        await self._carried_out(Mutation((), (), entry))

    async def close(self) -> None:
        """Carry out what waits, close the chain with a checkpoint, and take nothing more.

        A store that cannot tell what became of a change is not waited for longer than a while.
        """
        self._closing = True
        self._queue.filled.set()
        if self._worker is not None:
            await asyncio.wait({self._worker}, timeout=self._patience_s)
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def _carried_out(self, mutation: Mutation) -> Revision | Conflict:
        if self._closing:
            raise _stopping()
        self._queue.put(mutation)
        return await mutation.done

    async def _shown(self, revision: Revision) -> None:
        try:
            async with asyncio.timeout(self._reach_s):
                await self._mirror.reached(revision)
        except TimeoutError:
            _log.warning("revision %s is durable, but the mirror has not shown it yet", revision)

    # -- the worker --------------------------------------------------------------------------------

    async def _work(self) -> None:
        try:
            await self._seal(self._trail.extend([]))
            while not self._closing or len(self._queue):
                if taken := self._queue.take():
                    await self._guarded(taken)
                else:
                    await self._idle()
            await self._seal(self._trail.seal(closed=True))
        finally:
            self._closing = True
            _fail(self._queue.drain(), _stopping())

    async def _idle(self) -> None:
        """Wait for work; leave nothing without a signature meanwhile."""
        timeout_s = self._seal_after_s if self._trail.unsealed else None
        try:
            async with asyncio.timeout(timeout_s):
                await self._queue.filled.wait()
        except TimeoutError:
            await self._seal(self._trail.seal(closed=False))

    async def _seal(self, extension: Extension) -> None:
        try:
            await self._stored(extension, [])
        except CtherdError as error:
            _log.warning("the audit could not be sealed now: %s", error)

    async def _guarded(self, taken: list[Mutation]) -> None:
        """Carry out *taken*; whatever happens, each of them is told."""
        left = list(taken)
        try:
            await self._carry_out(left)
        except CtherdError as error:
            _fail(left, error)
        except Exception:  # noqa: BLE001 - the top of a worker, which logs the traceback
            _log.exception("a commit failed as it must not; its chain is left where it stood")
            self._trail.leave()
            _fail(left, LocalProtocolError("the server failed, and cannot say what it did"))
        finally:
            _fail(left, OutcomeUnknown("this server stopped before the store had answered"))

    async def _carry_out(self, left: list[Mutation]) -> None:
        """Commit *left* together, less each that conflicts, and take from it what is settled."""
        self._settle_lost(left)
        while left:
            extension = self._trail.extend([each.entry for each in left])
            answer = await self._stored(extension, left)
            if isinstance(answer, Conflict):
                self._settle_conflict(left, answer)
                continue
            self.together.observe(len(left))
            for each in left:
                each.settle(answer)
            left.clear()

    def _settle_lost(self, left: list[Mutation]) -> None:
        """Settle those of which the mirror knows already that they come too late.

        Of many that race for one key, all but the first would else cost an attempt each.
        """
        for each in list(left):
            if lost := self._lost(each):
                each.settle(lost)
                left.remove(each)

    def _lost(self, mutation: Mutation) -> Conflict | None:
        for key, revision in mutation.expects:
            current = self._mirror.get(key)
            # A mirror is never ahead, and a key never goes back to a revision that it had. But
            # one that must not exist, and does, may have been removed meanwhile: ask the store.
            moved = current is not None and current.revision > revision
            removed = current is None and self._mirror.revision >= revision
            if revision != ABSENT and (moved or removed):
                return Conflict(key, current)
        return None

    def _settle_conflict(self, left: list[Mutation], conflict: Conflict) -> None:
        for each in list(left):
            if conflict.key in each.keys:
                each.settle(conflict)
                left.remove(each)

    async def _stored(
        self, extension: Extension, mutations: Sequence[Mutation]
    ) -> Revision | Conflict:
        """Commit *extension* and *mutations*; the trail knows of it.

        Raises: Unavailable: nothing happened.
        """
        if not extension.writes:
            return self._mirror.revision
        expects = [*extension.expects, *(expect for each in mutations for expect in each.expects)]
        writes = [*extension.writes, *(write for each in mutations for write in each.writes)]
        answer = await self._attempted(expects, writes)
        if not isinstance(answer, Conflict):
            self._trail.advance(extension)
        elif any(answer.key == each.key for each in extension.writes):
            # Nobody but us writes where our chain goes on: somebody tampered with the store.
            _log.error("%s exists already; a new audit chain begins", answer.key)
            self._trail.leave()
        return answer

    async def _attempted(
        self, expects: Sequence[Expect], writes: Sequence[Write]
    ) -> Revision | Conflict:
        for _ in range(_ATTEMPTS):
            write_id = str(uuid4())
            try:
                return await self._store.commit(expects, writes, write_id=write_id)
            except OutcomeUnknown as error:
                _log.warning("%s; asking what became of write %s", error, write_id)
            revision = await self._outcome(write_id)
            if revision is not None:
                return revision
        raise Unavailable("the store loses its answers, and did nothing")

    async def _outcome(self, write_id: str) -> Revision | None:
        """Ask until the store can tell: to guess would break the chain, or tell a lie."""
        pause_s, longest_s = _PAUSE_S
        while True:
            try:
                return await self._store.outcome(write_id)
            except Unavailable as error:
                _log.warning("%s; asking again what became of write %s", error, write_id)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, longest_s)


def _stopping() -> Unavailable:
    return Unavailable("this server is stopping", cure="ask again in a moment")


def _fail(left: list[Mutation], error: Exception) -> None:
    for each in left:
        each.fail(error)
    left.clear()
