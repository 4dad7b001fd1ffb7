"""Hears from the privileged side where somebody committed, in the agent's event loop.

When the connection ends, the daemon is dead. Then everything is looked at, which starts another
one, and that is asked to tell.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from typing import Final

from ctherd.agent.kernel_events import OnCommit, OnGone
from ctherd.errors import CtherdError
from ctherd.model.document import NetnsName
from ctherd.neutron.herald import PREFIX
from ctherd.neutron.remote import Calls, ask

_log: Final = logging.getLogger("ctherd.neutron")

_RETRY_S: Final = 1.0
_READ_BYTES: Final = 64 * 1024


class Hearing:
    """Events (agent.kernel_events) of a privileged side, which listens to what it has open."""

    def __init__(
        self,
        calls: Calls,
        add_reader: Callable[..., object],
        remove_reader: Callable[[int], object],
        *,
        on_commit: OnCommit,
        on_gone: OnGone,
        on_overflow: Callable[[], None],
    ) -> None:
        self._calls = calls
        self._add_reader = add_reader
        self._remove_reader = remove_reader
        self._on_commit = on_commit
        self._on_gone = on_gone
        self._on_overflow = on_overflow
        self._connection: socket.socket | None = None
        self._unread = b""
        self._believed = False
        self._retry: asyncio.TimerHandle | None = None
        self._secret = secrets.token_hex(32)
        self._address = secrets.token_hex(16)
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._door.setblocking(False)
        self._door.bind(PREFIX + self._address)
        self._door.listen(4)
        self._add_reader(self._door.fileno(), self._accept)
        self._ask()

    def watch(self, netns: NetnsName, cookie: int) -> bool:
        """Do nothing: the privileged side listened before anything was observed."""
        return False

    def ignore(self, netns: NetnsName) -> None:
        """Do nothing: the privileged side stops with what it lets go of."""

    def close(self) -> None:
        """Hear nothing any more."""
        if self._retry is not None:
            self._retry.cancel()
        self._hang_up()
        self._remove_reader(self._door.fileno())
        self._door.close()

    def _ask(self) -> bool:
        try:
            ask("tell of events", self._calls.tell_events, self._address, self._secret)
        except CtherdError as error:
            _log.error("drift is found by sweeps only, until events are heard again: %s", error)
            self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self._ask_again)
            return False
        return True

    def _ask_again(self) -> None:
        if self._ask():
            self._on_overflow()  # what happened since the last daemon died was not heard

    def _accept(self) -> None:
        try:
            connection, _ = self._door.accept()
        except OSError:
            return
        # The last one counts: a new daemon may connect before the end of the old one was seen.
        self._hang_up()
        connection.setblocking(False)
        self._connection = connection
        self._add_reader(connection.fileno(), self._read)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._remove_reader(self._connection.fileno())
            self._connection.close()
        self._connection = None
        self._unread = b""
        self._believed = False

    def _read(self) -> None:
        assert self._connection is not None
        try:
            received = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._on_end()
            return
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            self._hear(line.decode(errors="replace"))

    def _hear(self, line: str) -> None:
        if not self._believed:
            self._believed = secrets.compare_digest(line.encode(), self._secret.encode())
            if not self._believed:
                _log.warning("somebody who does not know the secret is not listened to")
                self._hang_up()
            return
        match line.split(" "):
            case ["commit", generation, netns]:
                self._on_commit(NetnsName(netns), int(generation))
            case ["gone", netns]:
                self._on_gone(NetnsName(netns))
            case ["lost"]:
                self._on_overflow()

    def _on_end(self) -> None:
        believed = self._believed
        self._hang_up()
        if believed:
            _log.warning("the privileged daemon is gone: another one is started")
            self._ask()
            self._on_overflow()
