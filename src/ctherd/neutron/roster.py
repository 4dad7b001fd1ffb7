"""The routers that the L3 agent has, where each of them lives, and which are to be looked at.

Neutron's threads write here and go on; ours reads. However often a router is called for before it
is looked at, it is looked at once.
"""

import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ctherd.model.document import NetnsName, RouterId


class Due(NamedTuple):
    """What there is to do.

    Shape: *left* are netns that no router lives in any more.
    """

    routers: list[RouterId]
    left: list[NetnsName]


class Roster:
    """Shape: a router that is known but lives in no netns of this host is at None."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._homes: dict[RouterId, NetnsName | None] = {}
        self._announced: set[RouterId] = set()
        self._due: dict[RouterId, None] = {}
        self._left: set[NetnsName] = set()
        self._tell: Callable[[], None] = _nobody
        self._is_told = False

    def tell(self, tell: Callable[[], None]) -> None:
        """Call *tell*, from whichever thread, when there is something to do.

        Shape: once, until somebody takes it: waking a thread for each of many routers costs more
        than all that is then done for them.
        """
        with self._lock:
            self._tell = tell
            self._is_told = True
        tell()

    def _tell_once(self) -> None:
        with self._lock:
            tell = _nobody if self._is_told else self._tell
            self._is_told = True
        tell()

    # -- from Neutron's threads ------------------------------------------------------------------

    def lives(self, router: RouterId, netns: NetnsName | None) -> None:
        """The agent has processed *router*, which lives in *netns*."""
        with self._lock:
            before = self._homes.get(router)
            self._homes[router] = netns
            self._announced.add(router)
            if before is not None and before != netns:
                self._left.add(before)
            if netns is not None:
                self._left.discard(netns)
            self._due[router] = None
        self._tell_once()

    def leaves(self, router: RouterId) -> None:
        """The agent is about to delete *router*."""
        with self._lock:
            home = self._homes.pop(router, None)
            self._announced.discard(router)
            self._due.pop(router, None)
            if home is not None:
                self._left.add(home)
        self._tell_once()

    def call_for(self, routers: Iterable[RouterId]) -> None:
        """Have these looked at; those that nobody has here are no error."""
        with self._lock:
            known = [each for each in routers if each in self._homes]
            self._due.update(dict.fromkeys(known))
        if known:
            self._tell_once()

    # -- from ours -------------------------------------------------------------------------------

    def remember(self, router: RouterId, netns: NetnsName) -> None:
        """What we have in *netns* is of *router*, whether or not the agent has it still."""
        with self._lock:
            self._homes.setdefault(router, netns)
            self._due[router] = None

    def forget(self, router: RouterId) -> None:
        """Nothing of *router* is here, unless the agent says so."""
        with self._lock:
            if router not in self._announced:
                self._homes.pop(router, None)
                self._due.pop(router, None)

    def is_announced(self, router: RouterId) -> bool:
        """Tell whether the agent has said that it has *router*."""
        with self._lock:
            return router in self._announced

    def everybody(self) -> list[RouterId]:
        """Return every router that lives here."""
        with self._lock:
            return [router for router, home in self._homes.items() if home is not None]

    def home_of(self, router: RouterId) -> NetnsName | None:
        """Return where *router* lives now, None if not here."""
        with self._lock:
            return self._homes.get(router)

    def take(self) -> Due:
        """Return what there is to do, and take it for done."""
        with self._lock:
            routers = [each for each in self._due if self._homes.get(each) is not None]
            left = sorted(self._left)
            self._due.clear()
            self._left.clear()
            self._is_told = False
            return Due(routers, left)


def _nobody() -> None:
    """Nobody is there yet: what is called for stays."""
