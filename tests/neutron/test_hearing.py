"""Events of a privileged side that comes and goes."""

import asyncio
from typing import Any

import pytest

from ctherd.neutron import hearing
from ctherd.neutron.hearing import Hearing

pytestmark = pytest.mark.anyio


class DyingSide:
    """A privileged side that cannot be asked the first time."""

    def __init__(self) -> None:
        self.asked = 0

    def tell_events(self, address: str, secret: str) -> Any:
        self.asked += 1
        if self.asked == 1:
            raise OSError("Premature eof waiting for privileged process")
        return "answer", None


async def test_what_was_not_heard_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that dies while it is asked is asked again; everything is looked at after that."""
    monkeypatch.setattr(hearing, "_RETRY_S", 0.01)
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()
    side: Any = DyingSide()
    ear = Hearing(
        side,
        loop.add_reader,
        loop.remove_reader,
        on_commit=lambda netns, generation: None,
        on_gone=lambda netns: None,
        on_overflow=looked.set,
    )
    try:
        assert not looked.is_set()
        async with asyncio.timeout(10):
            await looked.wait()
        assert side.asked == 2
    finally:
        ear.close()
