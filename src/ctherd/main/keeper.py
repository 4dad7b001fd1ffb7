"""Keeps systemd's fd store equal to what guards our tables, so that a restart leaves no gap."""

from collections.abc import Iterable

from ctherd import systemd
from ctherd.main.wiring import Host
from ctherd.model.document import NetnsName
from ctherd.netlink.socket import NetlinkSocket


class FdStore:
    """Puts the sockets that own our tables into systemd's fd store, each once.

    A descriptor that stays there keeps its netns alive, whatever becomes of the name. So what
    guards nothing any more is taken out, and so is what nobody asked for after a restart.
    Shape: *inherited* are the names of what a former agent had put there.
    """

    def __init__(self, host: Host, inherited: Iterable[str]) -> None:
        self._host = host
        self._inherited = set(inherited) - {""}
        self._kept: dict[NetnsName, NetlinkSocket] = {}

    def keep(self, names: Iterable[NetnsName]) -> None:
        """Put into the store what guards these netns now, and take out what does not any more."""
        for name in names:
            entry = self._host.service.reconciler.entries.get(name)
            transport = self._host.dataplane.transport(name)
            if entry is None or entry.cookie is None:
                self.forget(name)
            elif entry.observed is None or not entry.observed.guarded:
                continue
            elif isinstance(transport, NetlinkSocket) and self._kept.get(name) is not transport:
                if name in self._kept:
                    self.forget(name)  # a name means all descriptors that were stored under it
                self._kept[name] = transport
                # Lost error messages must not make systemd think that the descriptor is dead.
                state = f"FDSTORE=1\nFDPOLL=0\nFDNAME={systemd.fd_name(name)}"
                systemd.notify(state, [transport.fileno()])

    def forget(self, netns: NetnsName) -> None:
        """Take out what is kept of this netns, if anything: it is gone, or nobody's router."""
        known = systemd.fd_name(netns) in self._inherited
        if self._kept.pop(netns, None) is not None or known:
            self._take_out(systemd.fd_name(netns))

    def settle(self) -> None:
        """Every netns was looked at: take out what a former agent kept of any other."""
        in_use = {
            systemd.fd_name(name)
            for name, entry in self._host.service.reconciler.entries.items()
            if self._host.dataplane.transport(name) is not None
            # Where we know for sure that nothing is guarded, another dataplane may have taken over.
            and (entry.observed is None or entry.observed.guarded)
        }
        for name in self._inherited - in_use:
            self._take_out(name)

    def _take_out(self, name: str) -> None:
        self._inherited.discard(name)
        systemd.notify(f"FDSTOREREMOVE=1\nFDNAME={name}")
