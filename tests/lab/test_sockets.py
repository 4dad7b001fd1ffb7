"""Sockets of exchanges: what ends early, and what is taken for a moment."""

import errno
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ctherd.lab.case import REPLY_S
from ctherd.lab.sockets import acknowledged, connected, exactly, listening, patiently
from ctherd.lab.topology import Topology


@contextmanager
def _connection(net: Topology) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Have both ends of a connection."""
    host = str(net.server.v4)
    with listening(net.server, host) as door:
        near = connected(net.server, host, door.getsockname()[1])
        far, _ = door.accept()
    with near, far:
        yield near, far


def test_a_port_that_is_taken_for_a_moment_is_waited_for() -> None:
    """A socket that a starting program still holds is no reason to give up."""
    answers = [OSError(errno.EADDRINUSE, "taken"), OSError(errno.EADDRINUSE, "taken"), None]

    def bind() -> str:
        if (error := answers.pop(0)) is not None:
            raise error
        return "bound"

    assert patiently(bind) == "bound"


def test_what_cannot_be_bound_is_told_at_once() -> None:
    """Waiting helps only where the port is taken; any other error is passed on."""
    answers = [OSError(errno.EADDRNOTAVAIL, "no such address"), None]

    def bind() -> None:
        if (error := answers.pop(0)) is not None:
            raise error

    with pytest.raises(OSError, match="no such address"):
        patiently(bind)


@pytest.mark.root
def test_a_connection_that_ends_early_is_told() -> None:
    """A stream that ends before all of it came is an error, and never taken for the whole."""
    with Topology.build() as net, _connection(net) as (near, far):
        far.sendall(b"half")
        far.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError, match="after 4 of 8 bytes"):
            exactly(near, 8)


@pytest.mark.root
def test_what_nobody_reads_is_acknowledged_until_the_connection_ends() -> None:
    """A deaf server's kernel acknowledges; once it has hung up, the connection is not alive."""
    with Topology.build() as net, _connection(net) as (near, far):
        near.sendall(b"anybody there?")
        acknowledged(near)
        far.close()
        select.select([near], [], [], REPLY_S)
        with pytest.raises(ConnectionError):
            acknowledged(near)
