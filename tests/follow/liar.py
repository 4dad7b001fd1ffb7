"""A server that says whatever a test wants: to try what a host believes of the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from ctherd.signing.envelope import Envelope
from tests.follow.server import Listening


class Liar:
    """Answers watches with what is said here, and writes reports down."""

    def __init__(self) -> None:
        self.listening = Listening()
        self.asked: list[dict[str, str]] = []
        self.reports: list[dict[str, Any]] = []
        self._open: list[asyncio.Queue[bytes | None]] = []

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Liar"]:
        async with self.listening.serve_app(self, self.hang_up):
            yield self

    def say(self, *messages: Any) -> None:
        """Say this on every open stream; bytes are sent as they are."""
        for message in messages:
            line = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
            for stream in self._open:
                stream.put_nowait(line)

    def hang_up(self) -> None:
        """End every stream."""
        for stream in self._open:
            stream.put_nowait(None)

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._open)

    def last(self, part: str) -> list[Any]:
        """What the reports said under *part*, all of them."""
        return [each for report in self.reports for each in report.get(part, [])]

    @property
    def kept(self) -> list[tuple[str, str]]:
        """What the last report said is kept although nobody asks for it: router and netns."""
        agent = self.reports[-1]["agent"] if self.reports else {"kept": []}
        return [(each["router"], each["netns"]) for each in agent["kept"]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/report"):
            await self._report(receive, send)
        else:
            await self._watch(scope, send)

    async def _report(self, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.reports.append(json.loads(body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def _watch(self, scope: Scope, send: Send) -> None:
        self.asked.append(dict(parse_qsl(scope["query_string"].decode())))
        stream: asyncio.Queue[bytes | None] = asyncio.Queue()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self._open.append(stream)
        try:
            while (line := await stream.get()) is not None:
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._open.remove(stream)


def document(name: str, envelope: Envelope, revision: int = 1) -> dict[str, Any]:
    """A document's event."""
    return {
        "type": "document",
        "revision": revision,
        "document": name,
        "envelope": envelope.as_plain(),
    }


def in_sync(envelope: Envelope) -> dict[str, Any]:
    """The event that everything was said."""
    return {"type": "in-sync", "manifest": envelope.as_plain()}
