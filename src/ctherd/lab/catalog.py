"""All cases of the lab, and which of them belong to a helper.

A case is added in its module below ``exchanges``; a module is added here.
"""

from collections.abc import Sequence
from typing import Final

from ctherd.errors import NotFound
from ctherd.lab.case import Case
from ctherd.lab.exchanges import (
    amanda,
    ftp,
    irc,
    netbios_ns,
    pptp,
    q931,
    ras,
    sane,
    sip,
    sip_registration,
    sipp,
    snmp,
    snmp_broadcast,
    snmp_trap,
    tftp,
)
from ctherd.model.catalog import ALIASES

CASES: Final[tuple[Case, ...]] = (
    *ftp.CASES,
    *tftp.CASES,
    *irc.CASES,
    *pptp.CASES,
    *amanda.CASES,
    *sane.CASES,
    *snmp.CASES,
    *snmp_broadcast.CASES,
    *snmp_trap.CASES,
    *netbios_ns.CASES,
    *sip.CASES,
    *sip_registration.CASES,
    *sipp.CASES,
    *q931.CASES,
    *ras.CASES,
)


def chosen(names: Sequence[str]) -> tuple[Case, ...]:
    """Return the cases of the helpers *names*, the kernel's or aliases; all cases for no name.

    Raises: NotFound, with the names that there are.
    """
    wanted = {kernel for name in names for kernel in _kernel_names(name)}
    return tuple(each for each in CASES if not names or each.helper in wanted)


def _kernel_names(name: str) -> set[str]:
    known = dict.fromkeys(each.helper for each in CASES)
    found = {kernel for (alias, _), kernel in ALIASES.items() if alias == name} | {name}
    if not found & known.keys():
        raise NotFound(f"the lab has no case for {name!r}", cure=f"it has {', '.join(known)}")
    return found
