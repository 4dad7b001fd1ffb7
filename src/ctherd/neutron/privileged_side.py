"""What lives on the privileged side, as long as its daemon does: open namespaces, and an ear.

The pool's threads take turns: a dataplane is for one at a time. Only a revocation goes on beside
it, with sockets of its own.
"""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from ctherd.errors import CtherdError, DataplaneError
from ctherd.main.config import Config
from ctherd.main.dataplanes import build, choose, unusable_here
from ctherd.main.surroundings import Surroundings
from ctherd.main.wiring import flow_revoker, netns_directory
from ctherd.model.assignment import AssignmentKey
from ctherd.model.document import NetnsName
from ctherd.model.observation import Tag
from ctherd.model.safe_scope import WIDE
from ctherd.netlink.dialogue import Dialogue
from ctherd.netns.open_files import allow_most
from ctherd.neutron.herald import Herald
from ctherd.neutron.inheritance import Inheritance, Left
from ctherd.neutron.plain import Plain, is_router
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
        self.inheritance = Inheritance(config.netns_dir)
        self._directory = directory
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
        # A flow that may have its helper by another rule is left alone. What Neutron's extension
        # left is to go anyway, as soon as all of it is made by us or is not wanted any more.
        known = (*revocation.live, *(each.key for each in revocation.owed))
        self.inheritance.remove_covered(revocation.netns, known)
        return self._revoker.revoke(revocation)

    def find_inherited(self, kept: Collection[NetnsName]) -> list[Left]:
        """Return what Neutron's extension left in the namespaces of routers.

        Shape: *kept* are those that will be identified next; they stay open for that.
        """
        names = [each for each in self._directory.names() if is_router(each)]
        with self._turn:
            return self.inheritance.find(names, partial(self._dialogue_with, kept))

    @contextmanager
    def _dialogue_with(self, kept: Collection[NetnsName], name: NetnsName) -> Iterator[Dialogue]:
        if name in kept:
            yield self._dataplane.dialogue(name)
            return
        namespace = self._directory.open(name)
        try:
            yield Dialogue(namespace.transport, name)
        finally:
            namespace.close()

    def look_around(
        self, netns: NetnsName, tag: Tag | None, keys: Collection[AssignmentKey]
    ) -> Plain:
        """Return flows, foreign findings, trouble and counters of one netns.

        Raises: CtherdError.
        """
        with self._turn:
            dialogue = self._dataplane.dialogue(netns)
            around = Surroundings(netns, self._directory, dialogue, self._choice, tag)
            try:
                return around.around(keys, WIDE)
            except OSError as error:
                raise DataplaneError("look around", netns=netns, errno=error.errno or 0) from error

    def tell_events(self, address: str, secret: str) -> None:
        """Tell of commits by a connection to *address*."""
        self._herald.tell(address, secret)
