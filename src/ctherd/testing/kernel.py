"""The front door of the scripted kernel: namespaces, listeners, and hooks for tests."""

import itertools
from collections.abc import Callable
from typing import Final

from ctherd.testing.events import Commit, Subscription
from ctherd.testing.helper_matrix import LINUX_6_18, HelperMatrix
from ctherd.testing.modules import FakeModules
from ctherd.testing.netns import FakeNetns
from ctherd.testing.nf_tables.transaction import Abilities

Hook = Callable[[FakeNetns, bytes], None]

_FIRST_COOKIE: Final = 0x1000


class FakeKernel:
    """A kernel without root: nf_tables and ctnetlink at the level of netlink bytes.

    Shape: *persist* False is a kernel before 6.9, which knows no persistent tables; *helpers* is
    what it can assign; *modules* makes helpers depend on modules, loaded on demand.
    *before_datagram* and *after_datagram* are called around each datagram that any process sends:
    one that raises simulates that the process died there.
    """

    def __init__(
        self,
        *,
        persist: bool = True,
        helpers: HelperMatrix = LINUX_6_18,
        modules: FakeModules | None = None,
    ) -> None:
        self.abilities = Abilities(persist, helpers, modules)
        self.before_datagram: Hook | None = None
        self.after_datagram: Hook | None = None
        self._named: dict[str, FakeNetns] = {}
        self._every: list[FakeNetns] = []
        self._cookies = itertools.count(_FIRST_COOKIE)
        self._subscriptions: list[Subscription] = []

    def netns(self, name: str) -> FakeNetns:
        """Return the namespace called *name*, which is made if it does not exist."""
        return self._named.get(name) or self.create(name)

    def find(self, name: str) -> FakeNetns | None:
        """Return the namespace called *name*, or None."""
        return self._named.get(name)

    def names(self) -> list[str]:
        """List the names of the namespaces, sorted."""
        return sorted(self._named)

    def create(self, name: str) -> FakeNetns:
        """Make a namespace (``ip netns add``).

        Raises: FileExistsError if the name is taken.
        """
        if name in self._named:
            raise FileExistsError(name)
        self._named[name] = made = self._make(name)
        return made

    def scratch(self) -> FakeNetns:
        """Make a namespace without a name, which lives as long as a socket in it is open."""
        made = self._make("")
        made.deleted = True
        return made

    def delete(self, name: str) -> None:
        """Take the name of a namespace away; it dies when its last socket is closed.

        Raises: FileNotFoundError if there is none.
        """
        if name not in self._named:
            raise FileNotFoundError(name)
        self._named.pop(name).deleted = True

    def rename(self, old: str, new: str) -> None:
        """Give a namespace another name."""
        if new in self._named:
            raise FileExistsError(new)
        self._named[new] = self._named.pop(old)
        self._named[new].name = new

    def link(self, name: str, other: str) -> None:
        """Give a namespace a second name, as mounting it in another place does."""
        if other in self._named:
            raise FileExistsError(other)
        self._named[other] = self._named[name]

    def pinned(self) -> list[FakeNetns]:
        """List deleted namespaces that cannot die because a socket in them is open."""
        return [each for each in self._every if each.deleted and each.alive]

    def subscribe(self, *, capacity: int = 10_000) -> Subscription:
        """Listen to the commits of all namespaces."""
        subscription = Subscription(capacity)
        self._subscriptions.append(subscription)
        return subscription

    def _make(self, name: str) -> FakeNetns:
        """Make a namespace; the kernel gives the lowest nsid that is free, again if need be."""
        self._every = [each for each in self._every if each.alive]
        taken = {each.nsid for each in self._every}
        nsid = next(number for number in itertools.count() if number not in taken)
        made = FakeNetns(self, name, next(self._cookies), nsid)
        self._every.append(made)
        return made

    def announce(self, netns: FakeNetns, generation: int, pid: int, datagram: bytes) -> None:
        """Tell every listener of an effective commit."""
        commit = Commit(netns.name, netns.nsid, generation, pid, datagram)
        self._subscriptions = [each for each in self._subscriptions if not each.closed]
        for subscription in self._subscriptions:
            subscription.push(commit)
