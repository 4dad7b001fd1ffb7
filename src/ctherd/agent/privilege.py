"""Gives up every capability that the agent does not need.

Source: capget(2), capabilities(7), linux/capability.h.
"""

import ctypes
import logging
import os
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ctherd.errors import PrivilegeMissing

_log: Final = logging.getLogger("ctherd.agent")

_VERSION_3: Final = 0x20080522
_PR_CAPBSET_DROP: Final = 24

NEEDED: Final = {"CAP_NET_BROADCAST": 11, "CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
"""To hear all namespaces at once, to change nf_tables, and to enter namespaces."""

FOR_IPTABLES_LEGACY: Final = {"CAP_NET_RAW": 13}
"""Its programs speak to the kernel by a raw socket."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def drop_privileges(also: Mapping[str, int] = MappingProxyType({})) -> None:
    """Keep of the present capabilities only the needed ones, and *also* these, for good.

    Raises: PrivilegeMissing if the kernel does not let us: a process that keeps more than it says
    must not run.
    """
    effective, permitted, _ = _get()
    needed = {**NEEDED, **also}
    wanted = sum(1 << number for number in needed.values())
    for number in range(_last() + 1):
        if not wanted >> number & 1:
            # Refused without CAP_SETPCAP; the sets below are what counts then.
            _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    _set(effective & wanted, permitted & wanted)
    missing = [name for name, number in needed.items() if not effective >> number & 1]
    if missing:
        _log.warning("the agent lacks %s", ", ".join(missing))


def _last() -> int:
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def _get() -> tuple[int, int, int]:
    data = ctypes.create_string_buffer(24)
    _call(_libc.capget, data)
    low, high = struct.unpack_from("=3I", data, 0), struct.unpack_from("=3I", data, 12)
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    return effective, permitted, inheritable


def _set(effective: int, permitted: int) -> None:
    mask = 0xFFFFFFFF
    packed = struct.pack(
        "=6I", effective & mask, permitted & mask, 0, effective >> 32, permitted >> 32, 0
    )
    _call(_libc.capset, ctypes.create_string_buffer(packed))


def _call(function: "ctypes._FuncPointer", data: "ctypes.Array[ctypes.c_char]") -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    if function(header, data) != 0:
        errno = ctypes.get_errno()
        raise PrivilegeMissing(f"capabilities cannot be given up: {os.strerror(errno)}")
