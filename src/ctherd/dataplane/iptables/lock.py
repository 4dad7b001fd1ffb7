"""The lock that iptables-legacy takes, one for the whole host: held here, kept short, never broken.

Who holds it may read, write and read back without anybody in between, as far as others obey it. The
programs that we run meanwhile would wait for us for ever, so they get a file of their own to lock.
Source: iptables' xshared.c (xtables_lock), proc_locks(5).
"""

import errno
import fcntl
import os
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

from ctherd.errors import DataplaneError, LockHeld

XTABLES_LOCK: Final = Path("/run/xtables.lock")

_VARIABLE: Final = "XTABLES_LOCKFILE"
_POLL_S: Final = 0.005


class XtablesLock:
    """The lock at *path*. Shape: somebody who holds it is waited for *patience_s* at most."""

    def __init__(self, path: Path = XTABLES_LOCK, *, patience_s: float = 2.0) -> None:
        self.path = path
        self._patience_s = patience_s

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises: LockHeld, which names the holder; DataplaneError if it cannot be opened.
        """
        fd = self._open()
        try:
            self._take(fd)
            yield
        finally:
            os.close(fd)

    @property
    def environment(self) -> Mapping[str, str]:
        """What keeps a program from waiting for the lock that we hold."""
        return {_VARIABLE: self._instead}

    @cached_property
    def _instead(self) -> str:
        fd, name = tempfile.mkstemp(prefix="ctherd-xtables-")
        os.close(fd)
        weakref.finalize(self, os.unlink, name)
        return name

    def _open(self) -> int:
        flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self.path, flags, 0o600)
        except OSError as error:
            raise DataplaneError(
                f"open {self.path}", errno=error.errno or errno.EIO, cure="needs root"
            ) from error

    def _take(self, fd: int) -> None:
        give_up_s = time.monotonic() + self._patience_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= give_up_s:
                    raise self._held_by(_holder(fd)) from error
                time.sleep(_POLL_S)
            else:
                return

    def _held_by(self, holder: str) -> LockHeld:
        return LockHeld(
            f"the xtables lock is held by {holder} for longer than {self._patience_s:g} s",
            where=str(self.path),
            cure="it is tried again; end that process if it hangs",
        )


def _holder(fd: int) -> str:
    inode = str(os.fstat(fd).st_ino)
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return "somebody"
    for line in locks:
        # "1: FLOCK  ADVISORY  WRITE 8437 00:15:1207 0 EOF"; those that wait have an arrow.
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode:
            return f"process {fields[4]} ({_command(fields[4])})"
    return "somebody"


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"
