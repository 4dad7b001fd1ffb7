"""A real FTP server, to be run as ``python -m ctherd.demo.ftp_server ROOT PORT HOST…``."""

import logging
import sys
import warnings
from collections.abc import Sequence

from ctherd.demo.lifeline import announce, end_with_stdin

with warnings.catch_warnings():
    # pyftpdlib stands on asyncore, which Python 3.11 deprecates and 3.12 took away.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer


class _ActiveDTP(FTPHandler.active_dtp):  # type: ignore[misc]
    """An active data connection that lets go of its socket when the transfer takes it over."""

    def handle_connect(self) -> None:
        """Hand the socket over."""
        super().handle_connect()
        # pyftpdlib 2.2 keeps the number of the socket, and at the end of the session takes whoever
        # has it by then out of the loop: of several clients, one in passive mode would stall.
        # Source: its pull request 657, "fix socket fd reclose".
        self._closed = True


def main(root: str, port: str, hosts: Sequence[str]) -> None:
    """Serve the files below *root* to everybody, on each address of *hosts*, until stdin ends."""
    logging.basicConfig(level=logging.WARNING)
    end_with_stdin()
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(root)
    # As it comes: PORT to an address that is not the peer's is refused, and the data port is any.
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer, "active_dtp": _ActiveDTP})
    loop = IOLoop()
    servers = [FTPServer((host, int(port)), handler, ioloop=loop) for host in hosts]
    announce()
    servers[0].serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
