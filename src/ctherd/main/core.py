"""What is below every service of a server: its store, its keys, and the one way to change both.

A server opens it, and so does a command on the server's host while no server runs.
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ctherd.authz.audit.trail import begin_trail
from ctherd.errors import ConfigurationError, NotFound
from ctherd.service.committer import Committer
from ctherd.service.moments import utc_now
from ctherd.service.records import MIRRORED
from ctherd.service.server_keys import KeyChange, ServerKeys
from ctherd.signing.key_file import KEY_FILE, load_or_make_ring, load_ring
from ctherd.signing.key_ring import KeyRing
from ctherd.store.measured import MeasuredStore
from ctherd.store.mirror import Mirror
from ctherd.store.sqlite import STORE_FILE, SqliteStore


@dataclass(frozen=True, slots=True)
class Core:
    """The parts that belong together for as long as the store is open."""

    server: str
    directory: Path
    store: MeasuredStore
    mirror: Mirror
    committer: Committer
    keys: ServerKeys
    key_change: KeyChange


def private_directory(path: Path) -> Path:
    """Return the server's state directory, made if need be, and closed to others.

    Raises: ConfigurationError.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"the server's state directory cannot be used: {error.strerror}",
            where=str(path),
            cure="run as its owner, or choose another with --state-dir",
        ) from error
    return path


def ring_of(directory: Path) -> KeyRing:
    """Return the signing keys in *directory*; new ones only where there is no store yet.

    Raises: ConfigurationError.
    """
    private_directory(directory)
    path = directory / KEY_FILE
    if not (directory / STORE_FILE).exists():
        return load_or_make_ring(path, utc_now())
    try:
        return load_ring(path)
    except NotFound as error:
        raise ConfigurationError(
            "the signing keys are gone, and the store was written with them",
            where=str(path),
            cure="put the file back from a safe copy",
        ) from error


@asynccontextmanager
async def opened_core(directory: Path) -> AsyncIterator[Core]:
    """Open the store in *directory*, and bring it to the keys that the key file says.

    Raises: Busy if a server runs there; ConfigurationError, Unavailable.
    """
    ring = ring_of(directory)
    server = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        store = MeasuredStore(await SqliteStore.open(directory / STORE_FILE))
        stack.push_async_callback(store.close)
        mirror = Mirror(store, MIRRORED)
        await mirror.start()
        stack.push_async_callback(mirror.close)
        keys = ServerKeys(ring, await store.epoch())
        every_key = ring.verifier(retired=True)
        trail = await begin_trail(store, server, keys.signer(), verifier=every_key)
        committer = Committer(store, mirror, trail)
        committer.start()
        stack.push_async_callback(committer.close)
        change = KeyChange(keys, mirror, committer, trail.sign_with)
        await change.adopt(ring)
        yield Core(server, directory, store, mirror, committer, keys, change)
