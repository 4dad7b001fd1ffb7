"""What is different about the two extensions, seen from the agent that has loaded one of them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from neutron.privileged.agent.linux import utils

from bench import in_kernel
from bench.neutron_stubs import Database
from bench.settled import Watched
from ctherd.model.document import NetnsName
from ctherd.neutron import privileged


class Side(Protocol):
    """An extension that is loaded."""

    def start_daemon(self) -> None:
        """Have the privsep daemon run that it uses, as a running agent has it."""

    def expect(self) -> None:
        """What follows is what is waited for."""

    def wait(self, routers: Iterable[Any]) -> None:
        """Wait until everything is done that it was asked for these routers."""

    def look(self) -> None:
        """Have the kernel read in every netns, if what it was asked for did not."""

    def in_kernel(self, netns: Path) -> int:
        """Count what the kernel has of it in *netns*."""


class InTree:
    """Neutron's own extension: its calls return when everything is done, and read the kernel."""

    def start_daemon(self) -> None:
        """Ask Neutron's daemon something."""
        utils.path_exists("/")

    def expect(self) -> None:
        """Do nothing."""

    def wait(self, routers: Iterable[Any]) -> None:
        """Do nothing."""

    def look(self) -> None:
        """Do nothing."""

    def in_kernel(self, netns: Path) -> int:
        """Count rules."""
        return in_kernel.of_iptables(netns)


class Ours:
    """ctherd's extension: its calls return at once, and where nothing changed, nothing is read."""

    def __init__(self, extension: Any, database: Database) -> None:
        self._watched = Watched(extension)
        self._database = database

    def start_daemon(self) -> None:
        """Ask ctherd's daemon something."""
        privileged.describe()

    def expect(self) -> None:
        """Count only what the server says from now on."""
        self._watched.expect()

    def wait(self, routers: Iterable[Any]) -> None:
        """Wait until the server was asked for these routers, and the kernel is as it answered."""
        count = self._database.count
        self._watched.wait({NetnsName(each.ns_name): count(each.router_id) for each in routers})

    def look(self) -> None:
        """Do what a sweep does."""
        self._watched.look_everywhere()

    def in_kernel(self, netns: Path) -> int:
        """Count what our table assigns."""
        return in_kernel.of_nftables(netns)


SIDES: Final[Mapping[str, Callable[[Any, Database], Side]]] = {
    "conntrack_helper": lambda extension, database: InTree(),
    "ctherd": Ours,
}
"""By the name of the extension's entry point."""
