"""Asks a running agent and waits, however long: for whoever has an event loop to wait in."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from ctherd.agent.client import CONTROL_SOCKET, broke_off, line, meant, out_of_reach

_LONGEST_ANSWER: Final = 64 * 1024 * 1024


async def ask_later(state_dir: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the agent's answer as ``ask`` does, however long it takes; it may be cancelled.

    Raises: as ask.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(
            state_dir / CONTROL_SOCKET, limit=_LONGEST_ANSWER
        )
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return None
    except OSError as error:
        raise out_of_reach(state_dir, error) from error
    try:
        writer.write(line(request))
        await writer.drain()
        answer = json.loads(await reader.readline())
    except (OSError, ValueError) as error:
        raise broke_off(error) from error
    finally:
        writer.close()
    return meant(answer)
