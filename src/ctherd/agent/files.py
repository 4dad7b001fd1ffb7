"""Tells when the herd file is complete and new, and when namespaces come and go."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from inotify_simple import INotify, flags

from ctherd.model.document import NetnsName

_FILE_EVENTS: Final = flags.CLOSE_WRITE | flags.MOVED_TO
_CAME: Final = flags.CREATE | flags.MOVED_TO
_WENT: Final = flags.DELETE | flags.MOVED_FROM


class Files:
    """Watches the herd file's directory and the netns directory.

    A file is new when its writer closes it or renames it into place, never in between.
    """

    def __init__(
        self,
        herd: Path,
        netns_dir: Path,
        *,
        on_herd: Callable[[], None],
        on_netns: Callable[[NetnsName, bool], None],
        on_overflow: Callable[[], None],
    ) -> None:
        self._herd = herd
        self._netns_dir = netns_dir
        self._on_herd = on_herd
        self._on_netns = on_netns
        self._on_overflow = on_overflow
        self._inotify = INotify()
        self._herd_watches: dict[int, str] = {}
        self._netns_watch: int | None = None
        # Behind a symbolic link it is the target's directory in which the writer works.
        for path in {herd, Path(os.path.realpath(herd))}:
            if path.parent.is_dir():
                watch = self._inotify.add_watch(path.parent, _FILE_EVENTS)
                self._herd_watches[watch] = path.name
        self.wait_for_directory()

    def fileno(self) -> int:
        """Return the file descriptor, for the event loop."""
        return int(self._inotify.fileno())

    def wait_for_directory(self) -> bool:
        """Watch the netns directory as soon as it exists; return true when it just came."""
        if self._netns_watch is not None or not self._netns_dir.is_dir():
            return False
        self._netns_watch = self._inotify.add_watch(
            self._netns_dir, _CAME | _WENT | flags.DELETE_SELF | flags.ONLYDIR
        )
        return True

    def read(self) -> None:
        """Tell what happened since the last call."""
        changed = False
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                changed = True
                self._on_overflow()
            if event.wd in self._herd_watches and event.mask & _FILE_EVENTS:
                changed = changed or event.name == self._herd_watches[event.wd]
            if event.wd == self._netns_watch:
                self._netns_event(event.mask, event.name)
        if changed:
            self._on_herd()

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()

    def _netns_event(self, mask: int, name: str) -> None:
        if mask & (flags.DELETE_SELF | flags.IGNORED):
            self._netns_watch = None
        elif mask & _CAME:
            self._on_netns(NetnsName(name), True)
        elif mask & _WENT:
            self._on_netns(NetnsName(name), False)
