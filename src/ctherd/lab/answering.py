"""Run a server of our own in a station: a thread beside us, with sockets that belong there."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ctherd.lab.sockets import patiently
from ctherd.lab.topology import Station

_LOOK_FOR_THE_END_S: Final = 0.02


@contextmanager
def answering(station: Station, make: Callable[[], socketserver.BaseServer]) -> Iterator[None]:
    """Let the server that *make* binds answer until the context ends.

    Raises: OSError if its port is taken, and stays so.
    """
    with station.inside():
        server = patiently(make)
    with server:
        thread = threading.Thread(
            target=server.serve_forever, args=(_LOOK_FOR_THE_END_S,), name="lab server"
        )
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
