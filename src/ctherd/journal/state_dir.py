"""The state directory: private to one ctherd process at a time."""

from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ctherd.errors import JournalError
from ctherd.lockfile import LockFile

JOURNAL_FILE: Final = "journal.sqlite"
_LOCK_FILE: Final = "lock"


class StateDirectory:
    """Holds the lock of a state directory from entry to exit; makes the directory if needed.

    Raises: Busy if another process holds it; JournalError if it cannot be made or opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = LockFile(path / _LOCK_FILE)

    @property
    def journal(self) -> Path:
        """Where the journal lies."""
        return self.path / JOURNAL_FILE

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self._lock.hold(
                "state directory",
                cure="wait until it is done, or give this one another --state-dir",
            )
        except OSError as error:
            raise JournalError(
                f"the state directory cannot be used: {error.strerror}",
                where=str(self.path),
                cure="run as root, or choose another with --state-dir",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()
