"""What the kernel's conntrack says of one router, as the witness of a proof: flows, expectations.

It has sockets of its own and knows nothing of who assigned a helper, or how.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final, Self

from ctherd.lab.namespace import Namespace
from ctherd.model.catalog import Protocol, by_name
from ctherd.netlink import ctnetlink, wire
from ctherd.netlink.ctnetlink import Expected, Flow
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
        return sum(each.helper == helper for each in self.flows_to(protocol, port))

    def flows_to(self, protocol: Protocol, port: int) -> list[Flow]:
        """Return the flows to *port*."""
        place = (protocol.number, port)
        return [each for each in self._flows() if (each.protocol, each.port) == place]

    def handed_on(self, helper: str, protocol: Protocol, port: int) -> int:
        """Count the flows elsewhere than to *port* that name *helper*, or one that it hands on."""
        helpers = {helper, *by_name(helper).hands_on}
        place = (protocol.number, port)
        return sum(
            each.helper in helpers and (each.protocol, each.port) != place for each in self._flows()
        )

    def expected(self, helper: str) -> int:
        """Count what *helper* expects now."""
        found = self._dialogue.dump_any(_EXPECTATIONS)
        return sum(ctnetlink.helper_of_expectation(each) == helper for each in found)

    def announced(self, helper: str) -> list[Expected]:
        """Return what *helper* began to expect since the last call, in order."""
        return [each for each in self._announced() if each.helper == helper]

    def _flows(self) -> Iterator[Flow]:
        return map(ctnetlink.flow, self._dialogue.dump_any(_FLOWS))

    def _announced(self) -> Iterator[Expected]:
        while (received := self._announcements.receive()) is not None:
            yield from map(ctnetlink.expected, wire.messages(received[0]))
