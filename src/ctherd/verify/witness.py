"""What conntrack in the copy says of a probe: which helper its flow got, and what that expects."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self

from ctherd.lab.namespace import Namespace
from ctherd.model.assignment import AssignmentKey
from ctherd.netlink import ctnetlink, wire
from ctherd.netlink.ctnetlink import Expected, Flow
from ctherd.netlink.dialogue import Dialogue, Order, Question
from ctherd.netlink.socket import NETLINK_NETFILTER, EventSocket, NetlinkSocket

_GROUP_NEW_EXPECTATION: Final = 4  # NFNLGRP_CONNTRACK_EXP_NEW
_FLOWS: Final = Question(ctnetlink.GET_FLOWS, ctnetlink.ALL_FAMILIES, b"", "list flows")
_FORGET_ALL: Final = Order(ctnetlink.DELETE_FLOW, ctnetlink.ALL_FAMILIES, b"")
_PROTOCOLS: Final = {6: "tcp", 17: "udp", 47: "gre"}
_MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Witness:
    """Listens in one namespace from before a probe until it is asked."""

    _dialogue: Dialogue
    _announcements: EventSocket

    @classmethod
    @contextmanager
    def in_(cls, router: Namespace) -> Iterator[Self]:
        """Listen in *router* until the context ends."""
        with router.inside():
            asking = NetlinkSocket()
            listening = EventSocket(NETLINK_NETFILTER, _GROUP_NEW_EXPECTATION)
        with closing(asking), closing(listening):
            yield cls(Dialogue(asking, router.name), listening)

    def forget(self) -> None:
        """Let the router forget every flow, so that the next packet of each is a first one."""
        self._dialogue.carry_out_each([_FORGET_ALL])
        list(self._announced())

    def expected(self, helper: str) -> list[Expected]:
        """Return what *helper* expected since the last question, in order."""
        return [each for each in self._announced() if each.helper == helper]

    def flows_to(self, key: AssignmentKey) -> list[Flow]:
        """Return the flows that an assignment of *key* is about."""
        found = map(ctnetlink.flow, self._dialogue.dump_any(_FLOWS))
        place = (key.protocol.number, key.port)
        return [each for each in found if (each.protocol, each.port) == place]

    def _announced(self) -> Iterator[Expected]:
        while (received := self._announcements.receive()) is not None:
            for message in wire.messages(received[0]):
                yield ctnetlink.expected(message)


def in_words(expected: list[Expected]) -> str:
    """Say what was expected."""
    named = list(dict.fromkeys(map(_one, expected)))
    more = f", and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return f"expects {', '.join(named[:_MOST_NAMED])}{more}"


def _one(each: Expected) -> str:
    protocol = _PROTOCOLS.get(each.protocol, f"protocol {each.protocol}")
    source = ip_address(each.source) if each.source else "anywhere"
    port = f" port {each.port}" if each.port else ""
    return f"{protocol} from {source} to {ip_address(each.destination)}{port}"
