"""What lives on the privileged side, as long as its daemon does: open namespaces, and an ear.

The pool's threads take turns: a dataplane is for one at a time. Only a revocation goes on beside
it, with sockets of its own.
"""

import threading
from collections.abc import Sequence

from ctherd.errors import CtherdError
from ctherd.main.config import Config
from ctherd.main.dataplanes import build, choose, unusable_here
from ctherd.main.wiring import flow_revoker, netns_directory
from ctherd.model.document import NetnsName
from ctherd.netns.open_files import allow_most
from ctherd.neutron.herald import Herald
from ctherd.neutron.plain import Plain
from ctherd.ports import Observed, ObserveRequest, Outcome, Revocation, Revoked, Transaction


class PrivilegedSide:
    """Observes and commits for whoever has no privileges.

    Raises: ConfigurationError if no dataplane can be used; PrivilegeMissing.
    """

    def __init__(self, config: Config) -> None:
        allow_most()
        self._turn = threading.Lock()
        directory = netns_directory(config.netns_dir)
        self._choice = choose(config, unusable_here)
        self._dataplane = build(self._choice.name, directory, own_table=config.own_table)
        self._revoker = flow_revoker(config)
        self._herald = Herald(netns_directory(config.netns_dir, leave_room=False))

    def describe(self) -> Plain:
        """Return the capabilities of the dataplane, its name, and why it is this one."""
        with self._turn:
            able = self._dataplane.capabilities()
        return able.guards, able.events, able.destinations, *self._choice

    def identify(self, names: Sequence[NetnsName]) -> list[int | CtherdError]:
        """Return the cookie of the netns that each name leads to, and listen to it from now on."""
        with self._turn:
            cookies = self._dataplane.identify(names)
            listens = self._dataplane.capabilities().events
        found = {
            name: cookie
            for name, cookie in zip(names, cookies, strict=True)
            if isinstance(cookie, int)
        }
        if listens:
            # Before anything is observed: what happens after that is heard.
            self._herald.follow(found)
        return cookies

    def observe(self, requests: Sequence[ObserveRequest]) -> list[Observed]:
        """Return what the kernel says now."""
        with self._turn:
            return self._dataplane.observe(requests)

    def commit(self, transactions: Sequence[Transaction]) -> list[Outcome]:
        """Carry out each transaction."""
        with self._turn:
            return self._dataplane.commit(transactions)

    def release(self, names: Sequence[NetnsName]) -> None:
        """Let go of these netns."""
        if not names:
            return
        self._herald.ignore(names)
        with self._turn:
            self._dataplane.release(names)

    def revoke(self, revocation: Revocation) -> Revoked | CtherdError:
        """Pay what is owed."""
        return self._revoker.revoke(revocation)

    def tell_events(self, address: str, secret: str) -> None:
        """Tell of commits by a connection to *address*."""
        self._herald.tell(address, secret)
