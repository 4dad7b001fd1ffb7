"""Sends a mailbox to a client as one HTTP answer that goes on until either side ends it.

A client that does not read stops us in the middle of a piece, at the cost of that piece and of its
mailbox; once it reads again it learns that it was cut. One that never does is for TCP to find out:
the server sets a user timeout on its sockets. No stream is for ever: who asks again is asked anew
who he is, so that a token that was withdrawn is not good for longer than that.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Final

from starlette.types import Receive, Send

from ctherd.service.mailbox import Mailbox

NDJSON = b"application/x-ndjson"
SSE = b"text/event-stream"

LONGEST_S: Final = 3600.0


async def stream(
    mailbox: Mailbox,
    beginning: Iterable[bytes],
    leave: Callable[[], None],
    receive: Receive,
    send: Send,
    *,
    content_type: bytes = NDJSON,
    longest_s: float = LONGEST_S,
) -> None:
    """Send *beginning*, then whatever comes; *leave* is called at the end, however it ends."""
    # Not all at once: they come back when they end.
    life_s = longest_s * random.uniform(0.5, 1.0)
    ending = asyncio.get_running_loop().call_later(life_s, mailbox.end)
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
        ending.cancel()
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
