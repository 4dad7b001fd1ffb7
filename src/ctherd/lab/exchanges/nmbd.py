"""Hosts that have a NetBIOS name each, and say so when they are asked: Samba's nmbd, one per host.

Nothing of the system's configuration is read, and nothing is kept beyond the session.
"""

import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from ctherd.errors import CtherdError
from ctherd.lab.case import Program
from ctherd.lab.exchanges.broadcast import FIRST_HOST, Dialect
from ctherd.lab.exchanges.netbios_names import PORT, name, question, understood
from ctherd.lab.serving import serving
from ctherd.lab.sockets import datagrams
from ctherd.lab.topology import Station
from ctherd.model.catalog import Protocol

NMBD: Final = Program("nmbd", "samba")

_NUMBERS: Final = range(FIRST_HOST, FIRST_HOST + 2)
"""One answers while the helper is there, the next one when it is gone."""

_REGISTERED_WITHIN_S: Final = 20.0
_ASK_AGAIN_S: Final = 0.2

_CONFIGURATION: Final = """
[global]
netbios name = {name}
workgroup = LAB
interfaces = {host}/{prefix}
bind interfaces only = yes
nbt client socket address = {host}
local master = no
domain master = no
lock directory = {place}
state directory = {place}
cache directory = {place}
private dir = {place}
pid directory = {place}
ncalrpc dir = {place}
log file = {place}/log
nmbd:socket dir = {place}
"""


class _Registered:
    """Hosts that answer by themselves."""

    def answer(self, number: int, question: bytes, caller: tuple[str, int]) -> None:
        """Leave it to nmbd.

        Raises: CtherdError if there is no host of that number.
        """
        if number not in _NUMBERS:
            raise CtherdError(f"there are only {len(_NUMBERS)} hosts to ask")


@contextmanager
def hosts(station: Station, network: IPv4Network, dialect: Dialect) -> Iterator[_Registered]:
    """Have the hosts in *station*, with their names registered.

    Raises: CtherdError if that is not possible.
    """
    with tempfile.TemporaryDirectory(prefix="ctherd-lab-") as directory, ExitStack() as stack:
        for number in _NUMBERS:
            configuration = _configured(Path(directory, str(number)), network, number)
            address = f"{network[number]}/{network.prefixlen}"
            station.run(["ip", "address", "replace", address, "broadcast", "+", "dev", "eth0"])
            # As a leader of a group of its own, which it would make, it could not be ended with us.
            options = ("--foreground", "--no-process-group", "--debug-stdout")
            at = ("-s", str(configuration), "-l", str(configuration.parent))
            command = [NMBD.path, *options, *at]
            stack.enter_context(serving(station, command, Protocol.UDP, PORT))
        _await_names(station, network)
        yield _Registered()


def _configured(place: Path, network: IPv4Network, number: int) -> Path:
    place.mkdir()
    path = place / "smb.conf"
    path.write_text(
        _CONFIGURATION.format(
            name=name(number), host=network[number], prefix=network.prefixlen, place=place
        ),
        encoding="ascii",
    )
    return path


def _await_names(station: Station, network: IPv4Network) -> None:
    """Ask until each host answers: registering a name takes nmbd some seconds."""
    give_up_s = time.monotonic() + _REGISTERED_WITHIN_S
    with datagrams(station, str(station.v4)) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.settimeout(_ASK_AGAIN_S)
        for number in _NUMBERS:
            while not _has_name(asking, (str(network.broadcast_address), PORT), number):
                if time.monotonic() > give_up_s:
                    raise CtherdError(f"nmbd did not register {name(number)}", where=station.name)


def _has_name(asking: socket.socket, everybody: tuple[str, int], number: int) -> bool:
    asking.sendto(question(number), everybody)
    try:
        return understood(asking.recv(2048)).startswith(f"{name(number)} ")
    except OSError:
        # Nobody answered in time, or nobody has the name yet.
        return False
