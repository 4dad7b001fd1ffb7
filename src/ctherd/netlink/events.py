"""Generation events of nf_tables, and the nsids by which they say where they happened.

Source: linux/netfilter/nfnetlink.h, linux/net_namespace.h, linux/rtnetlink.h, linux/filter.h.
"""

import errno
import socket
import struct
from typing import Final

from ctherd.netlink import nf_tables as nft
from ctherd.netlink import wire
from ctherd.netlink.nf_tables import Operation
from ctherd.netlink.nf_tables_read import generation_number
from ctherd.netlink.socket import NETLINK_NETFILTER, NETLINK_ROUTE, EventSocket, NetlinkSocket

_GROUP_NFTABLES: Final = 7
_GROUP_NSID: Final = 28

_RTM_NEWNSID: Final = 88
_RTM_DELNSID: Final = 89
_RTM_GETNSID: Final = 90
_NSID: Final = 1
_FD: Final = 3

_LOAD_HALF: Final = 0x28  # BPF_LD | BPF_H | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K


def _only_generations() -> list[tuple[int, int, int, int]]:
    """Pass messages of type NEWGEN: one per commit, however many rules it has."""
    kind = socket.htons(nft.kind(Operation.NEWGEN))  # the filter loads big-endian
    return [
        (_LOAD_HALF, 0, 0, 4),
        (_JUMP_EQUAL, 0, 1, kind),
        (_RETURN, 0, 0, 0xFFFFFFFF),
        (_RETURN, 0, 0, 0),
    ]


def listen(*, all_namespaces: bool) -> EventSocket:
    """Open the event socket, of every netns that has an nsid here or of the present one only.

    Raises: PermissionError for *all_namespaces* without CAP_NET_BROADCAST.
    """
    return EventSocket(
        NETLINK_NETFILTER,
        _GROUP_NFTABLES,
        all_namespaces=all_namespaces,
        instructions=_only_generations(),
    )


def generation_of(datagram: memoryview) -> int:
    """Decode the generation that an event announces."""
    return generation_number(datagram[16:])


def listen_for_nsids() -> EventSocket:
    """Open the socket that tells which nsids of the present netns mean nothing any more."""
    return EventSocket(NETLINK_ROUTE, _GROUP_NSID)


def freed_nsids(datagram: memoryview) -> list[int]:
    """Decode which nsids a datagram of that socket sets free."""
    return [_nsid(message) for message in wire.messages(datagram) if message.kind == _RTM_DELNSID]


def _nsid(message: wire.Message) -> int:
    return int(struct.unpack("=i", wire.attributes(message.body, 4)[_NSID])[0])


class Nsids:
    """Gives network namespaces the ids that events bear; ids are hints, never identities."""

    def __init__(self) -> None:
        self._socket = NetlinkSocket(protocol=NETLINK_ROUTE)

    def of(self, netns_fd: int) -> int | None:
        """Return the nsid of the netns, which gets one if it has none; None for our own."""
        body = struct.pack("=B3x", 0) + wire.attribute(_FD, struct.pack("=i", netns_fd))
        fresh = body + wire.attribute(_NSID, struct.pack("=i", -1))
        self._ask(_RTM_NEWNSID, fresh, wire.NLM_F_ACK)
        return self._ask(_RTM_GETNSID, body, 0)

    def close(self) -> None:
        """Close the socket; the ids stay."""
        self._socket.close()

    def _ask(self, kind: int, body: bytes, flags: int) -> int | None:
        self._socket.send(wire.message(kind, flags, 1, body))
        for message in wire.messages(self._socket.receive()):
            if message.kind == wire.NLMSG_ERROR:
                answer = wire.answer(message)
                if answer.errno not in (0, errno.EEXIST):
                    raise OSError(answer.errno, answer.in_words)
            else:
                nsid = _nsid(message)
                return nsid if nsid >= 0 else None
        return None
