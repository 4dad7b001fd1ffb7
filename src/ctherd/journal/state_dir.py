"""The state directory: private to one ctherd process at a time."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ctherd.errors import Busy, JournalError

JOURNAL_FILE: Final = "journal.sqlite"
_LOCK_FILE: Final = "lock"


class StateDirectory:
    """Holds the lock of a state directory from entry to exit; makes the directory if needed.

    Raises: Busy if another process holds it; JournalError if it cannot be made or opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def journal(self) -> Path:
        """Where the journal lies."""
        return self.path / JOURNAL_FILE

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self.path / _LOCK_FILE, flags, 0o600)
        except OSError as error:
            raise JournalError(
                f"the state directory cannot be used: {error.strerror}",
                where=str(self.path),
                cure="run as root, or choose another with --state-dir",
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip()
            os.close(self._fd)
            raise Busy(
                f"another ctherd (process {holder or 'unknown'}) is using this state directory",
                where=str(self.path),
                cure="wait until it is done, or give this one another --state-dir",
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
