"""What an agent is asked by its control socket, and answers: what it knows, and what it shall do.

Whatever is about documents is the source's to answer: only it knows who may declare them.
"""

import asyncio
from typing import Any, Final

from ctherd.agent.pulse import Pulse, pulse_as_data
from ctherd.agent.queue import Queue
from ctherd.agent.revocations import Revocations
from ctherd.agent.source import Source
from ctherd.errors import NotFound
from ctherd.journal.evidence import from_data
from ctherd.model.document import NetnsName
from ctherd.service.host import HostService
from ctherd.service.host_answers import Answer
from ctherd.service.revocations import add_outcomes

_OVERVIEW_BATCH: Final = 32
"""Routers that are told of in one go: whoever looks on shall not delay a repair."""


class Answers:
    """Answers for one agent, in its event loop."""

    def __init__(
        self,
        service: HostService,
        source: Source,
        queue: Queue,
        revocations: Revocations,
        pulse: Pulse,
    ) -> None:
        self._service = service
        self._reconciler = service.reconciler
        self._source = source
        self._queue = queue
        self._revocations = revocations
        self._pulse = pulse

    async def answer(self, request: dict[str, Any]) -> Answer:
        """Answer one request.

        Raises: CtherdError.
        """
        match request.get("operation"):
            case "show":
                return self._service.show(str(request.get("router", "")))
            case "overview":
                return await self._overview(request)
            case "apply":
                return await self._apply(request)
            case "adopt":
                return await self._adopt(request)
            case "targets":
                asked = (str(request.get(each, "")) for each in ("router", "assignment"))
                return self._service.targets(None, *asked)
            case "evidence":
                return self._keep_evidence(request)
        return self._source.answer(request)

    async def _overview(self, request: dict[str, Any]) -> Answer:
        """Tell how all routers fare, when something happened after what is known already.

        Shape: nothing but the mark, if nothing did.
        """
        await self._pulse.later_than(request.get("after"), request.get("wait_s"))
        if request.get("after") == self._pulse.mark:
            return {"mark": self._pulse.mark}
        told: Answer = {
            **pulse_as_data(self._pulse),
            "dataplane": self._service.chosen.get("name", ""),
            "in_sync": self._source.in_sync,
            "doubts": dict(self._source.doubts()),
            "queue": self._queue.depth()._asdict(),
            "routers": [],
        }
        names = list(self._reconciler.entries)
        for start in range(0, len(names), _OVERVIEW_BATCH):
            told["routers"] += self._service.overview(names[start : start + _OVERVIEW_BATCH])
            await asyncio.sleep(0)
        return told

    async def _apply(self, request: dict[str, Any]) -> Answer:
        """Let the source apply, and tell what came of what that owes to live flows."""
        await self._revocations.idle()
        before = self._revocations.serial
        answer = self._source.answer(request)
        self._revocations.look(self._reconciler.entries)
        await self._revocations.idle()
        return add_outcomes(answer, self._revocations.since(before))

    def _keep_evidence(self, request: dict[str, Any]) -> Answer:
        """Keep what `ctherd verify` found, and let it be told."""
        netns = NetnsName(str(request.get("netns", "")))
        if netns not in self._reconciler.entries:
            raise NotFound(f"no router is declared or managed in netns {netns!r}")
        self._service.keep_evidence(netns, map(from_data, request.get("evidence", ())))
        self._source.reconciled([netns])
        return {}

    async def _adopt(self, request: dict[str, Any]) -> Answer:
        await self._revocations.idle()
        router, assignment = (str(request.get(each, "")) for each in ("router", "assignment"))
        adoption = self._service.adoption(router, assignment)
        really = bool(request.get("really"))
        return await asyncio.to_thread(self._service.adopt, adoption, really=really)
