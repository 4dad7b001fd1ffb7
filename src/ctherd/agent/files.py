"""Tells when the herd file is complete and new, and when namespaces come and go."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import inotify_simple
from inotify_simple import INotify, flags

from ctherd.model.document import NetnsName

_FILE_EVENTS: Final = flags.CLOSE_WRITE | flags.MOVED_TO
_CAME: Final = flags.CREATE | flags.MOVED_TO
_WENT: Final = flags.DELETE | flags.MOVED_FROM

# It would run ldconfig to find the C library, which this process has in it already.
inotify_simple._libc = ctypes.CDLL(None, use_errno=True)


class HerdWatch:
    """Watches the herd file's directory.

    A file is new when its writer closes it or renames it into place, never in between.
    """

    def __init__(self, herd: Path, on_herd: Callable[[], None]) -> None:
        self._on_herd = on_herd
        self._inotify = INotify()
        self._watches: dict[int, str] = {}
        # Behind a symbolic link it is the target's directory in which the writer works.
        for path in {herd, Path(os.path.realpath(herd))}:
            if path.parent.is_dir():
                self._watches[self._inotify.add_watch(path.parent, _FILE_EVENTS)] = path.name

    def fileno(self) -> int:
        """Return the file descriptor, for the event loop."""
        return int(self._inotify.fileno())

    def read(self) -> None:
        """Tell if the file was written since the last call, or may have been."""
        events = self._inotify.read(timeout=0)
        if any(
            event.mask & flags.Q_OVERFLOW
            or (event.mask & _FILE_EVENTS and event.name == self._watches.get(event.wd))
            for event in events
        ):
            self._on_herd()

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()


class NetnsWatch:
    """Watches the netns directory, as soon as there is one."""

    def __init__(
        self,
        netns_dir: Path,
        *,
        on_netns: Callable[[NetnsName, bool], None],
        on_overflow: Callable[[], None],
    ) -> None:
        self._netns_dir = netns_dir
        self._on_netns = on_netns
        self._on_overflow = on_overflow
        self._inotify = INotify()
        self._watch: int | None = None
        self.wait_for_directory()

    def fileno(self) -> int:
        """Return the file descriptor, for the event loop."""
        return int(self._inotify.fileno())

    def wait_for_directory(self) -> bool:
        """Watch the netns directory as soon as it exists; return true when it just came."""
        if self._watch is not None or not self._netns_dir.is_dir():
            return False
        self._watch = self._inotify.add_watch(
            self._netns_dir, _CAME | _WENT | flags.DELETE_SELF | flags.ONLYDIR
        )
        return True

    def read(self) -> None:
        """Tell what happened since the last call."""
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                self._on_overflow()
            elif event.wd == self._watch:
                self._digest(event.mask, event.name)

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()

    def _digest(self, mask: int, name: str) -> None:
        if mask & (flags.DELETE_SELF | flags.IGNORED):
            self._watch = None
        elif mask & _CAME:
            self._on_netns(NetnsName(name), True)
        elif mask & _WENT:
            self._on_netns(NetnsName(name), False)
