"""A file whose lock one process holds, and which names that process to the others."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from ctherd.errors import Busy
from ctherd.private_file import give_to_owner


class LockFile:
    """The lock of *path*, taken by ``hold`` and given back by ``release`` or the process's end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def hold(self, what: str, *, cure: str) -> None:
        """Take the lock, or name its holder; *what* it protects is for people, as is *cure*.

        Raises: Busy, which says that another process is using *what*; OSError.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
            os.close(fd)
            raise Busy(
                f"another ctherd (process {holder or 'unknown'}) is using this {what}",
                where=str(self.path.parent),
                cure=cure,
            ) from error
        self._fd = fd
        # On a full disk nobody learns who holds it; it is held all the same.
        with suppress(OSError):
            give_to_owner(fd, self.path.parent)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back; the file stays, for the next."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
