"""As much of an IRC server as two users need: they register, talk to each other, and ping.

Source: RFC 2812, sections 3.1, 3.3.1, 3.7; the welcome, 001, in section 5.1.
"""

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ctherd.lab.answering import answering
from ctherd.lab.topology import Station


@contextmanager
def relay(server: Station, port: int) -> Iterator[None]:
    """Serve on the IPv4 address of *server*, with threads of our own."""
    with answering(server, partial(_Relay, (str(server.v4), port))):
        yield


class _Relay(socketserver.ThreadingTCPServer):
    """Knows who is there: *users* are connections by name."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        self.users: dict[str, _User] = {}
        super().__init__(address, _User)


class _User(socketserver.StreamRequestHandler):
    """One user's connection."""

    server: _Relay
    nick = ""

    def handle(self) -> None:
        """Obey line by line, until he hangs up."""
        for line in self.rfile:
            command, _, rest = line.decode().rstrip().partition(" ")
            if command == "NICK":
                self.nick = rest
                self.server.users[rest] = self
            elif command == "USER":
                self.tell(f":lab 001 {self.nick} :welcome")
            elif command == "PING":
                self.tell(f":lab PONG lab {rest}")
            elif command == "PRIVMSG":
                addressee = rest.partition(" ")[0]
                self.server.users[addressee].tell(f":{self.nick} PRIVMSG {rest}")

    def tell(self, line: str) -> None:
        """Send him one line."""
        self.wfile.write(f"{line}\r\n".encode())
