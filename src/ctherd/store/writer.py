"""The one thread that writes: whatever waits when it is free becomes one transaction.

While a transaction goes to the disk the next commits gather, so that one fsync serves all that
came in the meantime; a lone commit waits for nobody.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ctherd.errors import CtherdError
from ctherd.store.ledger import Ledger, Outcome
from ctherd.store.order import Committed, Order
from ctherd.store.port import Conflict, Revision, Unavailable

_logger: Final = logging.getLogger("ctherd.store")

_T = TypeVar("_T")

_LONGEST_QUEUE: Final = 1024
"""How many may wait before the next is refused: a disk that stands still must not fill memory."""


@dataclass(frozen=True, slots=True)
class _Commit:
    order: Order
    future: asyncio.Future[Revision | Conflict]


@dataclass(frozen=True, slots=True)
class _Errand:
    act: Callable[[], object]
    future: asyncio.Future[Any]
    last: bool


_Answer = tuple[asyncio.Future[Any], object]
"""Who waits, and for what; an exception is raised there."""


class Writer:
    """Runs *ledger* in a thread; its methods belong to the event loop it is made in.

    Shape: *published* is called in the event loop with what was committed, in its order, before
    those who asked for it are answered.
    """

    def __init__(self, ledger: Ledger, published: Callable[[Sequence[Committed]], None]) -> None:
        self._ledger = ledger
        self._published = published
        self._loop = asyncio.get_running_loop()
        self._works: queue.SimpleQueue[_Commit | _Errand] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        # A daemon: what was acknowledged is on disk, nothing is lost if the process just ends.
        threading.Thread(target=self._run, name="store-writer", daemon=True).start()

    async def commit(self, order: Order) -> Revision | Conflict:
        """Carry *order* out, together with those that wait.

        Raises: Unavailable, OutcomeUnknown.
        """
        future: asyncio.Future[Revision | Conflict] = self._loop.create_future()
        self._put(_Commit(order, future))
        return await future

    async def run(self, act: Callable[[], _T]) -> _T:
        """Return what *act* returns or raises, called in the thread between two transactions.

        Raises: Unavailable.
        """
        future: asyncio.Future[_T] = self._loop.create_future()
        self._put(_Errand(act, future, last=False))
        return await future

    async def close(self) -> None:
        """Finish what waits, and end the thread; from now on calls raise Unavailable."""
        if not self._closed:
            self._closed = True
            future: asyncio.Future[None] = self._loop.create_future()
            self._waiting += 1
            self._works.put(_Errand(lambda: None, future, last=True))
            await future

    def _put(self, work: _Commit | _Errand) -> None:
        if self._closed:
            raise Unavailable("the store is closed")
        if self._waiting >= _LONGEST_QUEUE:
            raise Unavailable("too many commits are waiting", cure="look at the disk")
        self._waiting += 1
        self._works.put(work)

    def _answered(self, answers: Sequence[_Answer], commits: Sequence[Committed]) -> None:
        self._waiting -= len(answers)
        if commits:
            self._published(commits)
        for future, answer in answers:
            if future.done():
                continue  # Whoever asked was cancelled.
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    # -- in the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        errand: _Errand | None = None
        while not (errand and errand.last):
            commits, errand = self._gathered()
            if commits:
                outcome = self._committed(commits)
                futures = (commit.future for commit in commits)
                self._answer(list(zip(futures, outcome.answers, strict=True)), outcome.commits)
            if errand:
                self._answer([(errand.future, _attempt(errand.act))])

    def _gathered(self) -> tuple[Sequence[_Commit], _Errand | None]:
        """Wait for work, then take all commits that wait, up to the next errand."""
        commits = []
        work = self._works.get()
        while isinstance(work, _Commit):
            commits.append(work)
            try:
                work = self._works.get_nowait()
            except queue.Empty:
                return commits, None
        return commits, work

    def _committed(self, commits: Sequence[_Commit]) -> Outcome:
        outcome = _attempt(lambda: self._ledger.commit([commit.order for commit in commits]))
        return outcome if isinstance(outcome, Outcome) else Outcome([outcome] * len(commits))

    def _answer(self, answers: Sequence[_Answer], commits: Sequence[Committed] = ()) -> None:
        try:
            self._loop.call_soon_threadsafe(self._answered, answers, commits)
        except RuntimeError:
            _logger.debug("the event loop ended before the store was closed")


def _attempt(act: Callable[[], _T]) -> _T | CtherdError:
    """Return what *act* returns or raises; nothing ends the thread."""
    try:
        return act()
    except CtherdError as error:
        return error
    except Exception as error:
        _logger.exception("the store's writer met what nobody expected")
        return Unavailable(f"the store failed: {error}", cure="report this: it is our mistake")
