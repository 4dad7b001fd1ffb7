"""Tells the server how this host fares: the last word on each document, together and until heard.

What is said while a report is under way waits for the next one, so that a busy host sends few and
large reports, and a quiet one sends each change at once.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from ctherd.agent.backoff import Backoff
from ctherd.agent.server_client import ServerAway, ServerRefused
from ctherd.signing.statements import DocumentId

_log: Final = logging.getLogger("ctherd.agent")

_LARGEST: Final = 200
"""Documents in one report, at most."""
_MOST_ASSIGNMENTS: Final = 1000
"""Of all documents in one report, unless it is a single one: servers bound what they read."""

_HAPPENINGS: Final = 100
"""The oldest ones are dropped, where nobody listens."""

_LONGEST_REST_S: Final = 0.1

Plain = dict[str, Any]
Words = dict[DocumentId, Plain]


class Reporter:
    """Collects what is to be told and sends it.

    Shape: *send* posts a report; *about_us* returns its ``agent`` part.
    """

    def __init__(
        self,
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
        about_us: Callable[[], Plain],
        backoff: Backoff,
    ) -> None:
        self._send = send
        self._about_us = about_us
        self._backoff = backoff
        self._routers: Words = {}
        self._withdrawn: Words = {}
        self._refused: Words = {}
        self._happenings: deque[Plain] = deque(maxlen=_HAPPENINGS)
        self._wanted = asyncio.Event()
        self._hurry = asyncio.Event()

    def connected(self) -> None:
        """The server can be spoken to: there is no reason to wait any more."""
        self._hurry.set()
        self.say()

    def say(self) -> None:
        """Send a report soon, even if there is nothing to tell but who we are."""
        self._wanted.set()

    def fares(self, document: DocumentId, words: Plain) -> None:
        """Tell the statuses of a document that is in force."""
        self._withdrawn.pop(document, None)
        self._routers[document] = words
        self.say()

    def withdrawn(self, document: DocumentId, words: Plain) -> None:
        """Tell that nothing of a document is left here."""
        self._routers.pop(document, None)
        self._refused.pop(document, None)
        self._withdrawn[document] = words
        self.say()

    def refused(self, document: DocumentId, words: Plain) -> None:
        """Tell that a statement was not believed."""
        self._refused[document] = words
        self.say()

    def happened(self, words: Plain) -> None:
        """Tell what happened, as far as anybody listens."""
        self._happenings.append(words)
        self.say()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            began_s = time.monotonic()
            while await self._sent():
                pass
            # As long again: a large router that changes all the time is told of half of the time.
            await asyncio.sleep(min(time.monotonic() - began_s, _LONGEST_REST_S))

    async def _sent(self) -> bool:
        """Send one report; return true if there is more to tell."""
        routers, withdrawn = _some(self._routers), _some(self._withdrawn)
        refused, happenings = _some(self._refused), list(self._happenings)
        self._happenings.clear()
        report = {
            "agent": self._about_us(),
            "routers": list(routers.values()),
            "withdrawn": list(withdrawn.values()),
            "refused": list(refused.values()),
            "happenings": happenings,
        }
        try:
            await self._send(report)
        except ServerAway as error:
            _log.debug("the report is sent again: %s", error)
            self._happenings.extendleft(reversed(happenings))
            await self._pause(self._backoff.wait_s(error.retry_after_s))
            return True
        except ServerRefused as error:
            _log.error("the server does not take a report: %s", error)
            await self._pause(self._backoff.wait_s())
        else:
            self._backoff.reset()
        _drop(self._routers, routers)
        _drop(self._withdrawn, withdrawn)
        _drop(self._refused, refused)
        return bool(self._routers or self._withdrawn or self._refused)

    async def _pause(self, wait_s: float) -> None:
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._hurry.wait()
        if self._hurry.is_set():
            self._backoff.reset()


def _some(words: Words) -> Words:
    """Return as many documents as fit into one report, oldest words first, and at least one."""
    chosen: Words = {}
    assignments = 0
    for document, each in words.items():
        assignments += len(each.get("assignments", ()))
        if chosen and (len(chosen) >= _LARGEST or assignments > _MOST_ASSIGNMENTS):
            break
        chosen[document] = each
    return chosen


def _drop(waiting: Words, sent: Words) -> None:
    """Forget what was sent, unless there is a newer word on it."""
    for document, words in sent.items():
        if waiting.get(document) is words:
            del waiting[document]
