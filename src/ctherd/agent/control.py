"""The control socket: one JSON object on a line each way, for root only."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from ctherd.agent.client import CONTROL_SOCKET
from ctherd.errors import Busy, CtherdError

_log: Final = logging.getLogger("ctherd.agent")

_LONGEST_REQUEST: Final = 64 * 1024

Answerer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def serve(state_dir: Path, answer: Answerer) -> asyncio.Server:
    """Serve *answer* in *state_dir*, whose lock the caller holds.

    Raises: Busy if the path is too long for a socket.
    """
    path = state_dir / CONTROL_SOCKET
    path.unlink(missing_ok=True)
    try:
        server = await asyncio.start_unix_server(
            lambda reader, writer: _converse(reader, writer, answer),
            path=path,
            limit=_LONGEST_REQUEST,
        )
        # No umask: that is the whole process', and other threads make files. The directory is ours.
        path.chmod(0o600)
    except OSError as error:
        raise Busy(
            f"the control socket cannot be made: {error}",
            where=str(path),
            cure="a socket's path is at most 107 bytes long: choose a shorter --state-dir",
        ) from error
    return server


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answerer
) -> None:
    try:
        line = await asyncio.wait_for(reader.readline(), 10)
        writer.write(json.dumps(await _answer(line, answer)).encode() + b"\n")
        await writer.drain()
    except (OSError, ValueError, TimeoutError) as error:
        _log.warning("a client of the control socket went away: %s", error)
    finally:
        writer.close()


async def _answer(line: bytes, answer: Answerer) -> dict[str, Any]:
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ValueError("not an object")
        return {"answer": await answer(request)}
    except CtherdError as error:
        return {"error": error.as_data()}
    except ValueError as error:
        return {"error": {"code": "remote-protocol", "what": str(error), "where": "", "cure": ""}}
