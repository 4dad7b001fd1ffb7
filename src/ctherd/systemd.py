"""What a service tells systemd: ready, alive, and which descriptors to keep over a restart.

Source: sd_notify(3), sd_listen_fds(3).
"""

import array
import os
import socket
from collections.abc import Sequence
from typing import Final

_FIRST_FD: Final = 3

_PATIENCE_S: Final = 0.1
"""How long a service manager may take to make room for a message."""


def notify(state: str, fds: Sequence[int] = ()) -> None:
    """Send *state*, with descriptors; without a service manager nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(_PATIENCE_S)
        try:
            client.sendmsg([state.encode()], rights, 0, address)
        except OSError:
            # A service manager that does not listen must not end or stop what it manages.
            return


def watchdog_interval_s() -> float | None:
    """Return how often to say WATCHDOG=1: half of what systemd allows; None if it does not ask."""
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    if not allowed_us.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(
        os.getpid()
    ):
        return None
    return int(allowed_us) / 2_000_000


def kept_fds() -> dict[int, str]:
    """Return the descriptors that systemd kept for us, and take them out of the environment.

    Shape: descriptor → the name under which it was kept, "" if systemd does not tell.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":") + [""] * count
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    fds = list(range(_FIRST_FD, _FIRST_FD + count))
    for fd in fds:
        os.set_inheritable(fd, False)
    return dict(zip(fds, names, strict=False))


def fd_name(netns: str) -> str:
    """Return the name under which the guard of *netns* is kept; colons are not allowed."""
    return f"ctherd-{netns}".replace(":", "_")
