"""Run a server of a case in a station: its port is bound when the body begins, all has ended after.

Nobody has to ask it whether it is there, nor to wait for a while: the kernel tells who is bound.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ctherd.errors import CtherdError
from ctherd.lab.namespace import Namespace
from ctherd.model.catalog import Protocol
from ctherd.process import Child

_START_S: Final = 15.0
_LOOK_AGAIN_S: Final = 0.005

_LISTENS: Final = "0A"
"""TCP_LISTEN of net/tcp_states.h, as /proc/net/tcp spells it."""


@contextmanager
def serving(
    station: Namespace,
    argv: Sequence[str],
    protocol: Protocol,
    port: int,
    *,
    env: Mapping[str, str] | None = None,
) -> Iterator[Child]:
    """Run *argv* in *station*, with all its children, until the context ends.

    Raises: CtherdError with what it said if it does not bind *port*; ToolMissing.
    """
    child = station.spawn(argv, env=env)
    try:
        _await_bound(child, station, protocol, port)
        yield child
    finally:
        # At once and as a group: what it forked for a session would outlive a polite end.
        child.kill()


def is_bound(station: Namespace, protocol: Protocol, port: int) -> bool:
    """Tell whether a socket of *station* is bound to *port*, listening if it is TCP."""
    with station.inside():
        # Not /proc/net: that is the main thread's namespace.
        tables = [Path(f"/proc/thread-self/net/{protocol}{six}").read_text() for six in ("", "6")]
    rows = (line.split() for table in tables for line in table.splitlines()[1:])
    return any(
        row[1].endswith(f":{port:04X}") and (protocol is Protocol.UDP or row[3] == _LISTENS)
        for row in rows
    )


def _await_bound(child: Child, station: Namespace, protocol: Protocol, port: int) -> None:
    give_up_s = time.monotonic() + _START_S
    while not is_bound(station, protocol, port):
        if child.returncode() is not None or time.monotonic() > give_up_s:
            child.kill()
            raise CtherdError(
                f"{child.argv[0]} did not serve {protocol}/{port}: {child.complaints()}",
                where=station.name,
            )
        time.sleep(_LOOK_AGAIN_S)
