"""The floor under a reconcile: prebuilt batches, sent on open sockets by nothing but a loop."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final

from bench.world import Recording, World, fresh_journal
from ctherd.model.document import Document
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.socket import RECEIVE_BYTES, NetlinkSocket

_GENERATION: Final = slice(24, 28)
"""Where a batch holds the generation it is based on: after two headers and an attribute's own."""


def captured(world: World, documents: Sequence[Document]) -> list[bytes]:
    """Return the very batches by which ctherd makes *documents* true, by making them true."""
    recordings = {name: Recording(each.transport) for name, each in world.sockets.items()}
    recorded = replace(
        world,
        sockets={
            name: replace(each, transport=recordings[name]) for name, each in world.sockets.items()
        },
    )
    with fresh_journal() as journal:
        reconciler = recorded.reconciler(journal)
        reconciler.accept(documents)
        reconciler.reconcile()
    return [max(recordings[document.netns].sent, key=len) for document in documents]


Ready = Sequence[tuple[socket.socket, bytes]]


@contextmanager
def ready(world: World, batches: Sequence[bytes]) -> Iterator[Ready]:
    """Have each batch beside the socket of a netns, and brought up to the generation it is at.

    The sockets are the world's own by a second descriptor, without any layer of ours.
    """
    with ExitStack() as stack:
        prepared = []
        for (name, namespace), batch in zip(world.sockets.items(), batches, strict=True):
            assert isinstance(namespace.transport, NetlinkSocket)
            held = socket.socket(fileno=os.dup(namespace.transport.fileno()))
            generation = Dialogue(namespace.transport, name).generation()
            current = bytearray(batch)
            current[_GENERATION] = generation.to_bytes(4, "big")
            prepared.append((stack.enter_context(held), bytes(current)))
        yield prepared


def send_all(prepared: Ready, buffer: bytearray) -> None:
    """Send each batch and read its acknowledgement."""
    for held, batch in prepared:
        held.send(batch)
        held.recv_into(buffer)


def new_buffer() -> bytearray:
    """Return room for acknowledgements, as large as ctherd's own."""
    return bytearray(RECEIVE_BYTES)
