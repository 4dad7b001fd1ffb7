"""Follows a server's stream: connect, hear, resume where it broke off, never all at once."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from ctherd.agent.backoff import Backoff
from ctherd.agent.server_client import ServerAway, ServerClient
from ctherd.errors import CtherdError, RemoteProtocolError

_log: Final = logging.getLogger("ctherd.agent")

Message = Mapping[str, Any]


class Listener(Protocol):
    """Who hears what the server says."""

    def resume_from(self) -> Mapping[str, str]:
        """Return the parameters of the next watch: nothing asks for everything."""

    def hear(self, messages: Sequence[Message]) -> None:
        """Take note of *messages*, which came together and in this order.

        Raises: CtherdError to have it said again from ``resume_from``.
        """

    def lost(self) -> None:
        """The stream ended."""


class Follower:
    """Keeps a stream open.

    Shape: *backoff* is begun anew by a stream that said anything at all.
    """

    def __init__(self, client: ServerClient, listener: Listener, backoff: Backoff) -> None:
        self._client = client
        self._listener = listener
        self._backoff = backoff
        self._complaint = ""

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            after_s = 0.0
            try:
                await self._follow()
                self._complain("the server ended the stream")
            except ServerAway as error:
                after_s = error.retry_after_s
                self._complain(str(error))
            except CtherdError as error:
                self._complain(str(error))
            finally:
                self._listener.lost()
            await asyncio.sleep(self._backoff.wait_s(after_s))

    async def _follow(self) -> None:
        async with self._client.watch(self._listener.resume_from()) as received:
            async for lines in received:
                self._listener.hear([_message(line) for line in lines.split(b"\n")])
                self._backoff.reset()
                self._complaint = ""

    def _complain(self, words: str) -> None:
        """Say it once, not at every attempt."""
        level = logging.DEBUG if words == self._complaint else logging.WARNING
        self._complaint = words
        _log.log(level, "not in touch with the server, what was declared stays true: %s", words)


def _message(line: bytes) -> Message:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"the server sends what is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise RemoteProtocolError("the server sends what is no object")
    return message
