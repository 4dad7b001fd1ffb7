"""What the copy's conntrack expected, as a person reads it."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from ctherd.netlink.ctnetlink import Expected

_PROTOCOLS: Final = {6: "tcp", 17: "udp", 47: "gre"}
_MOST_NAMED: Final = 3


def in_words(expected: Sequence[Expected]) -> str:
    """Say what was expected."""
    named = list(dict.fromkeys(map(_one, expected)))
    more = f", and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return f"expects {', '.join(named[:_MOST_NAMED])}{more}"


def _one(each: Expected) -> str:
    protocol = _PROTOCOLS.get(each.protocol, f"protocol {each.protocol}")
    source = ip_address(each.source) if each.source else "anywhere"
    port = f" port {each.port}" if each.port else ""
    return f"{protocol} from {source} to {ip_address(each.destination)}{port}"
