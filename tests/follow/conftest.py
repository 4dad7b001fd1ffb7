"""Waiting on states, and plain requests."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import httpx

PATIENCE_S = 20.0


class Told(NamedTuple):
    status: int
    text: str


async def becomes(state: Callable[[], object], patience_s: float = PATIENCE_S) -> bool:
    """Wait on a state, bounded."""
    give_up_s = time.monotonic() + patience_s
    while not state():
        if time.monotonic() > give_up_s:
            return False
        await asyncio.sleep(0.005)
    return True


async def ask(
    url: str, method: str, path: str, *, token: str = "admin", body: object = None
) -> Told:
    """Make one request; a stream's status is all that is waited for."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=20) as client,
        client.stream(method, url + path, headers=headers, json=body) as response,
    ):
        if response.status_code == 200 and "ndjson" in response.headers["content-type"]:
            return Told(200, "")
        return Told(response.status_code, (await response.aread()).decode())
