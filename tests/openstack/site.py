"""A router of Neutron's with a client on its inside and an FTP server on its outside.

```
 client                        router, all by Neutron            server
 192.0.2.9   ───bridge─── qr-… 192.0.2.1   198.51.100.x qg-… ───bridge───   198.51.100.2
```

The router translates the client's address, and the server knows no way back to it. So in active
mode a transfer succeeds where the router's kernel reads the control connection, and only there.
"""

import ftplib
import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self

from ctherd.demo import services, transfers
from ctherd.demo.services import Payload
from ctherd.demo.transfers import FTP_ACTIVE_V4, Attempt, Loop
from ctherd.lab.namespace import Namespace
from ctherd.lab.topology import Station
from ctherd.netns.enter import entered
from tests.openstack.machine import Machine
from tests.openstack.network import OUTSIDE_GATEWAY, Network, bridge_of

PATIENCE_S: Final = 30.0

CLIENT_V6: Final = "2001:db8:1::9"

_CLIENT: Final = "192.0.2.9"
_SERVER: Final = OUTSIDE_GATEWAY
# FTP is served on both families; nobody asks for this one.
_NO_V6: Final = IPv6Address("::1")


@dataclass(frozen=True)
class Site:
    """One such router, by its id."""

    machine: Machine
    router_id: str
    client: Station
    server: Station
    served: Payload

    @classmethod
    @contextmanager
    def built(cls, machine: Machine, network: Network, router_id: str) -> Iterator[Self]:
        """Connect the router; the agent, which must run, plugs its ports."""
        inside, outside = network.connect(router_id)
        with (
            _station(machine, "client", inside, _CLIENT) as client,
            _station(machine, "server", outside, _SERVER) as server,
            services.payload() as served,
            services.ftp(server, served),
        ):
            client.run(["ip", "route", "add", "default", "via", "192.0.2.1"])
            site = cls(machine, router_id, client, server, served)
            yield site

    @property
    def router(self) -> Namespace:
        return self.machine.netns(self.router_name)

    @property
    def router_name(self) -> str:
        """The name of the router's namespace, on every node that has it."""
        return f"qrouter-{self.router_id}"

    def reaches_its_server(self) -> bool:
        """Tell whether the client gets through: Neutron says nowhere that a router is wired."""
        return self.reaches(_SERVER)

    def reaches(self, address: str) -> bool:
        """Tell whether *address* answers the client."""
        return self.client.run(["ping", "-c1", "-W1", address], check=False).returncode == 0

    def attempt(self) -> Attempt:
        """Fetch the payload in active mode."""
        return transfers.attempt(self.client, self.server, FTP_ACTIVE_V4, self.served)

    @contextmanager
    def control(self) -> Iterator[ftplib.FTP]:
        """Hold a control connection of the client, for ``transfer``."""
        ftp = ftplib.FTP(timeout=3)
        with self.client.opened() as netns_fd, entered(netns_fd):
            ftp.connect(_SERVER)
        try:
            ftp.login()
            ftp.voidcmd("TYPE I")
            yield ftp
        finally:
            ftp.close()

    def transfer(self, ftp: ftplib.FTP) -> bool:
        """Fetch the payload over a control connection that is open; tell whether it came."""
        # ftplib's own way leaves a socket open if the server does not like our address.
        with self.client.opened() as netns_fd, entered(netns_fd), socket.socket() as listener:
            listener.listen()
            listener.settimeout(3)
            try:
                ftp.sendport(_CLIENT, listener.getsockname()[1])
            except ftplib.error_perm:
                return False
            ftp.sendcmd(f"RETR {self.served.path.name}")
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                content = stream.read()
        ftp.voidresp()
        return content == self.served.path.read_bytes()

    def helped_flows(self, helper: str = "ftp") -> int:
        """Return how many connections have the helper, as the conntrack program lists them."""
        return self.router.run(["conntrack", "-L"]).stdout.count(f"helper={helper}")

    def loop(self) -> AbstractContextManager[Loop]:
        """Fetch it again and again."""
        return Loop.running(self.client, self.server, FTP_ACTIVE_V4, self.served)


def assigned(router: Namespace) -> set[int]:
    """The ports in our map, as `nft` lists them."""
    listed = router.run(["nft", "-j", "list", "map", "inet", "ctherd", "assign"], check=False)
    if listed.returncode:
        return set()
    (found,) = [each["map"] for each in json.loads(listed.stdout)["nftables"] if "map" in each]
    return {element[0]["concat"][1] for element in found.get("elem", [])}


def failures(attempts: Iterable[Attempt]) -> str:
    """Return what failed, as text; nothing if nothing did."""
    return "\n".join(str(each) for each in attempts if not each.succeeded)


def has(machine: Machine, router_id: str, ports: set[int], within_s: float = PATIENCE_S) -> bool:
    """Wait until the router, which may not be there yet, has these ports and no other."""
    name = f"qrouter-{router_id}"
    there = becomes(lambda: machine.has_netns(name), within_s)
    return there and becomes(lambda: assigned(machine.netns(name)) == ports, within_s)


def becomes(holds: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    """Wait on a state that other processes bring about, bounded."""
    give_up_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > give_up_s:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def _station(machine: Machine, role: str, network: str, address: str) -> Iterator[Station]:
    """Have a namespace with a link to *network*, which some port must have been plugged into."""
    name, bridge = f"{role}-{network[:8]}", bridge_of(network)
    end = f"{role[:3]}{network[:11]}"
    machine.run("ip", "netns", "add", name)
    try:
        link = ("ip", "link", "add", end, "type", "veth", "peer", "eth0", "netns", name)
        machine.run(*link)
        plug = ("ip", "link", "set", end, "master", bridge, "up")
        there = becomes(lambda: machine.run(*plug, check=False).returncode == 0)
        assert there, f"nothing was plugged into {bridge}"
        station = Station(machine.netns(name).name, IPv4Address(address), _NO_V6)
        lines = (f"address add {address}/24 dev eth0", "link set eth0 up", "link set lo up")
        station.run(["ip", "-batch", "-"], input="\n".join(lines))
        yield station
    finally:
        machine.run("ip", "netns", "delete", name)
