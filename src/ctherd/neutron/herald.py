"""Tells the unprivileged side where somebody committed, by a connection: nobody has to poll.

The listener waits at an abstract address of its own choice, below a prefix that is nobody else's:
this side connects with root's credentials, and must not be led to anybody who would trust them. Nor
does the listener believe anybody who does not know the secret, which passed the boundary before.
One event is one line of text.
"""

import asyncio
import re
import threading
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Final, TypeVar

from ctherd.agent.kernel_events import KernelEvents
from ctherd.errors import DataplaneError
from ctherd.model.document import NetnsName
from ctherd.netns.directory import NetnsDirectory

PREFIX: Final = "\0ctherd-neutron-events-"

_ADDRESS: Final = re.compile(r"[0-9a-f]{32}")
_MOST_UNREAD_BYTES: Final = 1 << 20

_T = TypeVar("_T")


class Herald:
    """Listens to the kernel in a thread of its own, and says what it hears."""

    def __init__(self, directory: NetnsDirectory) -> None:
        self._followed: dict[NetnsName, int] = {}
        self._listener: asyncio.StreamWriter | None = None
        self._lost = False
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="ctherd-herald", daemon=True).start()
        self._events = self._in_loop(self._listen(directory))

    def follow(self, cookies: Mapping[NetnsName, int]) -> None:
        """Listen to these netns; when this returns, nothing goes unheard."""
        fresh = {name: each for name, each in cookies.items() if self._followed.get(name) != each}
        if fresh:
            self._in_loop(self._watch(fresh))
            self._followed |= fresh

    def ignore(self, names: Iterable[NetnsName]) -> None:
        """Stop listening to these netns."""
        known = [name for name in names if self._followed.pop(name, None) is not None]
        if known:
            self._in_loop(self._unwatch(known))

    def tell(self, address: str, secret: str) -> None:
        """Tell the one who listens at *address* from now on.

        Raises: DataplaneError if nobody does; ValueError for an address that cannot be meant.
        """
        if _ADDRESS.fullmatch(address) is None or not secret.isalnum():
            raise ValueError("that is not an address of a listener")
        self._in_loop(self._connect(address, secret))

    def _in_loop(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # -- in the loop -----------------------------------------------------------------------------

    async def _listen(self, directory: NetnsDirectory) -> KernelEvents:
        return KernelEvents(
            directory,
            self._loop.add_reader,
            self._loop.remove_reader,
            on_commit=lambda netns, generation: self._say(f"commit {generation} {netns}"),
            on_gone=self._on_gone,
            on_overflow=lambda: self._say("lost"),
        )

    def _on_gone(self, netns: NetnsName) -> None:
        self._followed.pop(netns, None)
        self._say(f"gone {netns}")

    async def _watch(self, cookies: Mapping[NetnsName, int]) -> None:
        for name, cookie in cookies.items():
            self._events.watch(name, cookie)

    async def _unwatch(self, names: Iterable[NetnsName]) -> None:
        for name in names:
            self._events.ignore(name)

    async def _connect(self, address: str, secret: str) -> None:
        try:
            _, writer = await asyncio.open_unix_connection(PREFIX + address)
        except OSError as error:
            raise DataplaneError("tell of events", errno=error.errno or 0) from error
        if self._listener is not None:
            self._listener.close()
        self._listener = writer
        self._say(secret)

    def _say(self, line: str) -> None:
        if self._listener is None or self._listener.is_closing():
            return
        if self._listener.transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
            self._lost = True  # nobody reads: what is said now would only be late
            return
        if self._lost:
            self._lost = False
            line = f"lost\n{line}"
        self._listener.write(f"{line}\n".encode())
