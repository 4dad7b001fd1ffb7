"""What the kernel's conntrack says of one router, as the witness of a case: flows, expectations.

It has sockets of its own and knows nothing of who assigned a helper, or how.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final, Self

from ctherd.lab.namespace import Namespace
from ctherd.model.catalog import Protocol, by_name
from ctherd.netlink import ctnetlink, wire
from ctherd.netlink.dialogue import Dialogue, Order, Question
from ctherd.netlink.socket import NETLINK_NETFILTER, EventSocket, NetlinkSocket

_GROUP_NEW_EXPECTATION: Final = 4
"""NFNLGRP_CONNTRACK_EXP_NEW, linux/netfilter/nfnetlink_compat.h."""

_FLOWS: Final = Question(ctnetlink.GET_FLOWS, ctnetlink.ALL_FAMILIES, b"", "list flows")
_EXPECTATIONS: Final = Question(
    ctnetlink.GET_EXPECTATIONS, ctnetlink.ALL_FAMILIES, b"", "list expectations"
)
_FORGET_ALL: Final = Order(ctnetlink.DELETE_FLOW, ctnetlink.ALL_FAMILIES, b"")


class Conntrack:
    """Flows and expectations of one router, and what it announced since somebody last asked."""

    def __init__(self, dialogue: Dialogue, announcements: EventSocket) -> None:
        self._dialogue = dialogue
        self._announcements = announcements

    @classmethod
    @contextmanager
    def of(cls, router: Namespace) -> Iterator[Self]:
        """Look at *router* until the context ends; what it expects meanwhile is announced."""
        with router.inside():
            asking = NetlinkSocket()
            listening = EventSocket(NETLINK_NETFILTER, _GROUP_NEW_EXPECTATION)
        with closing(asking), closing(listening):
            yield cls(Dialogue(asking, router.name), listening)

    def forget(self) -> None:
        """Let the router forget every flow, so that the next packet of each is a first one."""
        self._dialogue.carry_out_each([_FORGET_ALL])
        self.announced("")

    def flows(self, helper: str, protocol: Protocol, port: int) -> int:
        """Count the flows to *port* that name *helper* now."""
        found = map(ctnetlink.flow, self._dialogue.dump_any(_FLOWS))
        place = (helper, protocol.number, port)
        return sum((each.helper, each.protocol, each.port) == place for each in found)

    def handed_on(self, helper: str, protocol: Protocol, port: int) -> int:
        """Count the flows elsewhere than to *port* that name *helper*, or one that it hands on."""
        found = map(ctnetlink.flow, self._dialogue.dump_any(_FLOWS))
        helpers = {helper, *by_name(helper).hands_on}
        place = (protocol.number, port)
        return sum(each.helper in helpers and (each.protocol, each.port) != place for each in found)

    def expected(self, helper: str) -> int:
        """Count what *helper* expects now."""
        found = self._dialogue.dump_any(_EXPECTATIONS)
        return sum(ctnetlink.helper_of_expectation(each) == helper for each in found)

    def announced(self, helper: str) -> int:
        """Count the expectations of *helper* that were announced since the last call."""
        count = 0
        while (received := self._announcements.receive()) is not None:
            for message in wire.messages(received[0]):
                count += ctnetlink.helper_of_expectation(message) == helper
        return count
