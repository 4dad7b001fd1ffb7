"""Sends a mailbox to a client as one HTTP answer that goes on until either side ends it.

A client that does not read stops us in the middle of a piece, at the cost of that piece and of its
mailbox; once it reads again it learns that it was cut. One that never does is for TCP to find out:
the server sets a user timeout on its sockets.
"""

import asyncio
from collections.abc import Callable, Iterable

from starlette.types import Receive, Send

from ctherd.service.mailbox import Mailbox

NDJSON = b"application/x-ndjson"
SSE = b"text/event-stream"


async def stream(
    mailbox: Mailbox,
    beginning: Iterable[bytes],
    leave: Callable[[], None],
    receive: Receive,
    send: Send,
    *,
    content_type: bytes = NDJSON,
) -> None:
    """Send *beginning*, then whatever comes; *leave* is called at the end, however it ends."""
    listening = asyncio.ensure_future(_until_gone(receive))
    listening.add_done_callback(lambda _: mailbox.close())
    try:
        await send(_head(content_type))
        for piece in beginning:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if mailbox.closed:
                break
        while taken := await mailbox.take():
            await send({"type": "http.response.body", "body": taken, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        listening.cancel()
        leave()


def _head(content_type: bytes) -> dict[str, object]:
    headers = [
        (b"content-type", content_type),
        (b"cache-control", b"no-store"),
        # A proxy that collects before it sends would make news old.
        (b"x-accel-buffering", b"no"),
    ]
    return {"type": "http.response.start", "status": 200, "headers": headers}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
