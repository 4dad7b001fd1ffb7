"""Tells in which of our netns somebody committed, whichever way the kernel lets us listen."""

import logging
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from ctherd.errors import CtherdError
from ctherd.model.document import HOST, NetnsName
from ctherd.netlink.events import Nsids, freed_nsids, generation_of, listen, listen_for_nsids
from ctherd.netlink.socket import EventSocket, lost_events
from ctherd.netns.directory import NetnsDirectory, no_room
from ctherd.netns.enter import entered
from ctherd.netns.open_files import leaves_room

_log: Final = logging.getLogger("ctherd.agent")

OnCommit = Callable[[NetnsName, int], None]
"""Called with the netns and the generation that a commit made."""

OnGone = Callable[[NetnsName], None]
"""Called with a name that is not listened to any more, because its netns is said to be gone."""


class Events(Protocol):
    """Who tells in which netns somebody committed, for as long as it is listened to."""

    def watch(self, netns: NetnsName, cookie: int) -> bool:
        """Listen to commits in the netns with *cookie*, to which the name *netns* leads.

        Shape: true if it was not listened to until now, so that commits may have gone unheard.
        """

    def ignore(self, netns: NetnsName) -> None:
        """Stop listening to *netns*; one that is not listened to is no error."""

    def close(self) -> None:
        """Stop listening."""


class Listen(Protocol):
    """Makes Events; *add_reader* and *remove_reader* are those of the event loop."""

    def __call__(
        self,
        add_reader: Callable[..., object],
        remove_reader: Callable[[int], object],
        *,
        on_commit: OnCommit,
        on_gone: OnGone,
        on_overflow: Callable[[], None],
    ) -> Events:
        """Begin to listen."""


class _Watch(NamedTuple):
    """How one netns is listened to: by the nsid it has here, or by a socket of its own."""

    cookie: int
    nsid: int | None = None
    listener: EventSocket | None = None


class KernelEvents:
    """One socket for all netns where the kernel allows it, else one for each.

    An event is a hint where to look, never a fact about a netns. The kernel gives the nsid of a
    dead netns to another one, so what it says of that is heard before any commit is attributed.
    Shape: *add_reader* and *remove_reader* are those of the event loop.
    """

    def __init__(
        self,
        directory: NetnsDirectory,
        add_reader: Callable[..., object],
        remove_reader: Callable[[int], object],
        *,
        on_commit: OnCommit,
        on_gone: OnGone,
        on_overflow: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._add_reader = add_reader
        self._remove_reader = remove_reader
        self._on_commit = on_commit
        self._on_gone = on_gone
        self._on_overflow = on_overflow
        self._watches: dict[NetnsName, _Watch] = {}
        self._by_nsid: dict[int | None, NetnsName] = {}
        self._unheard: set[NetnsName] = set()
        self._shared: tuple[EventSocket, EventSocket, Nsids] | None = None
        try:
            everywhere = listen(all_namespaces=True)
        except PermissionError:
            _log.warning(
                "no CAP_NET_BROADCAST: one event socket per namespace is used instead of one"
            )
            return
        freed = listen_for_nsids()
        self._shared = everywhere, freed, Nsids()
        self._add_reader(everywhere.fileno(), self._read_everywhere, everywhere, freed)
        self._add_reader(freed.fileno(), self._read_freed, freed)

    def watch(self, netns: NetnsName, cookie: int) -> bool:
        """Listen to commits in the netns with *cookie*, to which the name *netns* leads.

        Shape: true if it was not listened to until now, so that commits may have gone unheard.
        Calling it again costs nothing.
        """
        known = self._watches.get(netns)
        if known is not None and known.cookie == cookie:
            return False
        self.ignore(netns)
        try:
            self._watches[netns] = self._listen_to(netns, cookie)
        except (CtherdError, OSError) as error:
            if netns not in self._unheard:
                _log.warning("no events from %s, its drift is found by sweeps: %s", netns, error)
            self._unheard.add(netns)
            return False
        self._unheard.discard(netns)
        return True

    def ignore(self, netns: NetnsName) -> None:
        """Stop listening to *netns*."""
        watch = self._watches.pop(netns, None)
        if watch is None:
            return
        if watch.listener is not None:
            self._drop(watch.listener)
        elif self._by_nsid.get(watch.nsid) == netns:
            del self._by_nsid[watch.nsid]

    def close(self) -> None:
        """Stop listening."""
        for netns in list(self._watches):
            self.ignore(netns)
        if self._shared is not None:
            *listeners, nsids = self._shared
            for listener in listeners:
                self._drop(listener)
            nsids.close()

    def _listen_to(self, netns: NetnsName, cookie: int) -> _Watch:
        with self._directory.held(netns) as fd:
            if self._shared is None:
                with entered(fd):
                    listener = listen(all_namespaces=False)
                if not leaves_room(listener.fileno()):
                    listener.close()
                    raise no_room("listen to events", netns)
                self._add_reader(listener.fileno(), self._read_one, netns, listener)
                return _Watch(cookie, listener=listener)
            nsid = None if netns == HOST else self._shared[2].of(fd)
        self._by_nsid[nsid] = netns
        return _Watch(cookie, nsid=nsid)

    def _drop(self, listener: EventSocket) -> None:
        self._remove_reader(listener.fileno())
        listener.close()

    # -- reading ---------------------------------------------------------------------------------

    def _read_one(self, netns: NetnsName, listener: EventSocket) -> None:
        while event := self._receive(listener):
            self._on_commit(netns, generation_of(event[0]))

    def _read_everywhere(self, everywhere: EventSocket, freed: EventSocket) -> None:
        while event := self._receive(everywhere):
            self._read_freed(freed)
            datagram, nsid = event
            netns = self._by_nsid.get(nsid)
            if netns is not None:
                self._on_commit(netns, generation_of(datagram))

    def _read_freed(self, freed: EventSocket) -> None:
        while event := self._receive(freed):
            for nsid in freed_nsids(event[0]):
                netns = self._by_nsid.get(nsid)
                if netns is not None:
                    self.ignore(netns)
                    self._on_gone(netns)

    def _receive(self, listener: EventSocket) -> tuple[memoryview, int | None] | None:
        """Return the next event; where some were lost, everything is looked at and listened to."""
        try:
            return listener.receive()
        except OSError as error:
            if not lost_events(error):
                raise
        _log.warning("kernel events were lost: every namespace is looked at")
        for netns, watch in list(self._watches.items()):
            if watch.listener is None:
                # What was lost may have said that its nsid means another netns now.
                self.ignore(netns)
        self._on_overflow()
        return self._receive(listener)
