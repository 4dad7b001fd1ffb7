"""Whoever is beyond an interface of the copy: one namespace that has what addresses it is given."""

from dataclasses import dataclass, field

from ctherd.lab.namespace import Namespace
from ctherd.verify.copy.batch import ip_batch
from ctherd.verify.copy.interfaces import Address
from ctherd.verify.copy.links import BEYOND


@dataclass(slots=True)
class Neighbourhood:
    """One namespace, whose only interface leads to the copy of the router."""

    namespace: Namespace
    _addresses: set[str] = field(default_factory=set)

    def prepare(self) -> None:
        """Set it up before it is connected.

        Raises: OSError if it may not be entered.
        """
        self.namespace.set_sysctl("ipv6/conf/default/accept_dad", 0)
        self.namespace.set_sysctl("ipv4/conf/default/rp_filter", 0)
        self.namespace.set_sysctl("ipv4/conf/all/rp_filter", 0)

    def connect(self) -> None:
        """Set its interfaces up."""
        self._ip("link set lo up", f"link set {BEYOND} up")

    def join(self, other: "Neighbourhood") -> None:
        """Let *other* be on the same link, and connect him."""
        path = other.namespace.name
        self._ip(f"link add link {BEYOND} name beside type macvlan mode bridge")
        self._ip(f"link set beside netns {path} name {BEYOND}")
        other.connect()

    def live_at(self, address: Address, by: Address) -> None:
        """Have *address*, and reach everybody else by the router's address *by*."""
        self._have(address)
        version = "-6" if address.version == 6 else "-4"
        self._ip(f"route replace default via {by} dev {BEYOND} onlink", family=version)

    def be_gateway(self, address: Address) -> None:
        """Be the next hop *address* of the router's routes."""
        self._have(address)

    def _have(self, address: Address) -> None:
        if str(address) in self._addresses:
            return
        self._addresses.add(str(address))
        nodad = " nodad" if address.version == 6 else ""
        self._ip(f"address add {address}/{address.max_prefixlen} dev {BEYOND}{nodad}")

    def _ip(self, *lines: str, family: str = "") -> None:
        with self.namespace.opened() as netns_fd:
            for refused in ip_batch(netns_fd, lines, family=family):
                raise OSError(f"{refused.line}: {refused.words}")
