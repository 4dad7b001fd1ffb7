"""Which conntrack helpers a scripted kernel has.

The default is what was measured by creating objects on Linux 6.18, H.245 on udp included. It is
written out here rather than taken from the catalog, which it is a witness of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ctherd.testing.wire import IPV4, IPV6

TCP: Final = 6
UDP: Final = 17


@dataclass(frozen=True, slots=True)
class HelperSupport:
    """One helper on one layer 4 protocol; *module* is the suffix of nf_conntrack_<module>."""

    families: frozenset[int]
    module: str


HelperMatrix = Mapping[tuple[str, int], HelperSupport]
"""(the kernel's name, layer 4 protocol number) → what the kernel has of it."""

_BOTH: Final = frozenset({IPV4, IPV6})
_V4: Final = frozenset({IPV4})

LINUX_6_18: Final[HelperMatrix] = {
    ("ftp", TCP): HelperSupport(_BOTH, "ftp"),
    ("tftp", UDP): HelperSupport(_BOTH, "tftp"),
    ("sip", TCP): HelperSupport(_BOTH, "sip"),
    ("sip", UDP): HelperSupport(_BOTH, "sip"),
    ("Q.931", TCP): HelperSupport(_BOTH, "h323"),
    ("RAS", UDP): HelperSupport(_BOTH, "h323"),
    ("H.245", UDP): HelperSupport(_BOTH, "h323"),
    ("amanda", UDP): HelperSupport(_BOTH, "amanda"),
    ("sane", TCP): HelperSupport(_BOTH, "sane"),
    ("irc", TCP): HelperSupport(_V4, "irc"),
    ("pptp", TCP): HelperSupport(_V4, "pptp"),
    ("snmp", UDP): HelperSupport(_V4, "snmp"),
    ("snmp_trap", UDP): HelperSupport(_V4, "snmp"),
    ("netbios-ns", UDP): HelperSupport(_V4, "netbios_ns"),
}
