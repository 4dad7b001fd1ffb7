"""Tells in which of our netns somebody committed, whichever way the kernel lets us listen."""

import logging
from collections.abc import Callable
from typing import Final

from ctherd.errors import CtherdError
from ctherd.model.document import HOST, NetnsName
from ctherd.netlink.events import Nsids, generation_of, listen
from ctherd.netlink.socket import EventSocket, lost_events
from ctherd.netns.directory import NetnsDirectory
from ctherd.netns.enter import entered

_log: Final = logging.getLogger("ctherd.agent")

OnCommit = Callable[[NetnsName, int], None]
"""Called with the netns and the generation that a commit made."""


class KernelEvents:
    """One socket for all netns where the kernel allows it, else one for each.

    An event is a hint where to look, never a fact about a netns: an id that was reused costs one
    look too many.
    Shape: *add_reader* and *remove_reader* are those of the event loop.
    """

    def __init__(
        self,
        directory: NetnsDirectory,
        add_reader: Callable[..., None],
        remove_reader: Callable[[int], object],
        on_commit: OnCommit,
        on_overflow: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._add_reader = add_reader
        self._remove_reader = remove_reader
        self._on_commit = on_commit
        self._on_overflow = on_overflow
        self._by_nsid: dict[int | None, NetnsName] = {}
        self._sockets: dict[NetnsName | None, EventSocket] = {}
        self._nsids: Nsids | None = None
        try:
            self._listen(None, listen(all_namespaces=True))
            self._nsids = Nsids()
        except PermissionError:
            _log.warning(
                "no CAP_NET_BROADCAST: one event socket per namespace is used instead of one"
            )

    def watch(self, netns: NetnsName) -> None:
        """Listen to commits in *netns*; calling it again costs nothing."""
        if netns in self._sockets or netns in self._by_nsid.values():
            return
        try:
            with self._directory.held(netns) as fd:
                if self._nsids is not None:
                    self._by_nsid[None if netns == HOST else self._nsids.of(fd)] = netns
                else:
                    with entered(fd):
                        self._listen(netns, listen(all_namespaces=False))
        except (CtherdError, OSError) as error:
            _log.warning("no events from %s, its drift is found by sweeps: %s", netns, error)

    def ignore(self, netns: NetnsName) -> None:
        """Stop listening to *netns*."""
        self._by_nsid = {nsid: name for nsid, name in self._by_nsid.items() if name != netns}
        listener = self._sockets.pop(netns, None)
        if listener is not None:
            self._remove_reader(listener.fileno())
            listener.close()

    def close(self) -> None:
        """Stop listening."""
        for listener in self._sockets.values():
            self._remove_reader(listener.fileno())
            listener.close()
        self._sockets.clear()
        if self._nsids is not None:
            self._nsids.close()

    def _listen(self, netns: NetnsName | None, listener: EventSocket) -> None:
        self._sockets[netns] = listener
        self._add_reader(listener.fileno(), self._read, netns, listener)

    def _read(self, netns: NetnsName | None, listener: EventSocket) -> None:
        while True:
            try:
                event = listener.receive()
            except OSError as error:
                if not lost_events(error):
                    raise
                _log.warning("kernel events were lost: every namespace is looked at")
                self._on_overflow()
                continue
            if event is None:
                return
            datagram, nsid = event
            name = netns if netns is not None else self._by_nsid.get(nsid)
            if name is not None:
                self._on_commit(name, generation_of(datagram))
