"""Whether a netns is wired at all: its interfaces and addresses, as the kernel lists them.

Source: linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ctherd.netlink import wire
from ctherd.netlink.socket import NETLINK_ROUTE, NetlinkSocket
from ctherd.netlink.wire import Message
from ctherd.netns.enter import entered

_GET_LINK: Final = 18
_GET_ADDRESS: Final = 22
_LINK: Final = struct.Struct("=BxHiII")  # struct ifinfomsg: type, index, flags, change
_ADDRESS: Final = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, length, flags, scope, index
_LOOPBACK: Final = 772  # ARPHRD_LOOPBACK
_UP: Final = 1
_NARROWEST_USEFUL_SCOPE: Final = 252  # link (253) and host (254) addresses reach no router's peers


class Wiring(NamedTuple):
    """How many interfaces besides loopback are up, and how many routable addresses there are."""

    interfaces_up: int
    addresses: int


def wiring(netns_fd: int) -> Wiring:
    """Read how the netns is wired.

    Raises: OSError if it may not be entered.
    """
    with entered(netns_fd):
        route = NetlinkSocket(protocol=NETLINK_ROUTE)
    try:
        links = [_LINK.unpack_from(each.body) for each in _dump(route, _GET_LINK, _LINK.size)]
        addresses = [
            _ADDRESS.unpack_from(each.body) for each in _dump(route, _GET_ADDRESS, _ADDRESS.size)
        ]
    finally:
        route.close()
    return Wiring(
        sum(1 for _, kind, _, flags, _ in links if kind != _LOOPBACK and flags & _UP),
        sum(1 for _, _, _, scope, _ in addresses if scope <= _NARROWEST_USEFUL_SCOPE),
    )


def _dump(route: NetlinkSocket, kind: int, header_bytes: int) -> Iterator[Message]:
    route.send(wire.message(kind, wire.NLM_F_DUMP, kind, bytes(header_bytes)))
    while True:
        for message in wire.messages(route.receive()):
            if message.kind in (wire.NLMSG_DONE, wire.NLMSG_ERROR):
                return
            yield message
