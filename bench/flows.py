"""Flows that conntrack is told of, without a packet."""

import socket

from ctherd.errors import DataplaneError
from ctherd.netlink import ctnetlink, wire
from ctherd.netlink.dialogue import Dialogue

IPV4 = 2

Endpoint = tuple[str, int]
"""An address and a port."""


def track(
    dialogue: Dialogue, client: Endpoint, server: Endpoint, protocol: int, more: bytes
) -> None:
    """Make a flow from *client* to *server*; *more* are further attributes of it.

    Raises: DataplaneError.
    """
    there, back = _direction(1, client, server, protocol), _direction(2, server, client, protocol)
    flags = wire.NLM_F_ACK | wire.NLM_F_CREATE
    body = there + back + wire.u32(7, 3600) + more
    dialogue.transport.send(wire.netfilter_message(ctnetlink.CHANGE_FLOW, flags, 1, IPV4, body))
    (answered,) = wire.messages(dialogue.transport.receive())
    errno = wire.answer(answered).errno
    if errno:
        raise DataplaneError("make a flow", netns=dialogue.netns, errno=errno)


def _direction(kind: int, source: Endpoint, target: Endpoint, protocol: int) -> bytes:
    both = enumerate((source, target), 1)
    addresses = (wire.attribute(number, socket.inet_aton(each)) for number, (each, _) in both)
    ports = wire.u8(1, protocol) + wire.u16(2, source[1]) + wire.u16(3, target[1])
    return wire.nested(kind, wire.nested(1, *addresses), wire.nested(2, ports))
