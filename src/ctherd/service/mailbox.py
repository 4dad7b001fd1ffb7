"""A bounded mailbox between the server's one loop and one slow reader, who is cut before it hurts.

Nobody who fills it ever waits. What does not fit ends the reader's stream, and he asks again from
where he was: so a reader that sleeps costs a fixed amount, and the others nothing.
"""

import asyncio


class Mailbox:
    """Bytes for one reader.

    Shape: *capacity* in bytes; *cut* is true if it was closed because it was full.
    """

    __slots__ = ("_capacity", "_lines", "_size", "_wakeup", "closed", "cut")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lines: list[bytes] = []
        self._size = 0
        self._wakeup: asyncio.Future[None] | None = None
        self.closed = False
        self.cut = False

    @property
    def empty(self) -> bool:
        """Whether the reader has everything."""
        return not self._lines

    def put(self, line: bytes) -> bool:
        """Leave *line* for the reader; return false if that cut him."""
        if self.closed:
            return True
        if self._size + len(line) > self._capacity:
            self.cut = True
            self.close()
            return False
        self._lines.append(line)
        self._size += len(line)
        self._wake()
        return True

    def end(self) -> None:
        """Take nothing more; the reader may take what there is."""
        self.closed = True
        self._wake()

    def close(self) -> None:
        """Let the reader go; what he did not take is lost."""
        self.closed = True
        self._lines.clear()
        self._size = 0
        self._wake()

    async def take(self) -> bytes:
        """Wait for anything and return all of it; nothing means that the mailbox is closed.

        Shape: for one reader.
        """
        if not self._lines and not self.closed:
            self._wakeup = asyncio.get_running_loop().create_future()
            try:
                await self._wakeup
            finally:
                self._wakeup = None
        taken = b"".join(self._lines)
        self._lines.clear()
        self._size = 0
        return taken

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)
