"""What an operator does to the signing keys, beside a running server or without one.

The key file is the root, and a running server follows it. What the store has is looked up in the
store's own file, which may be read while it is in use.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from ctherd.errors import Busy, CtherdError, InvalidDeclaration
from ctherd.main.core import Core, opened_core
from ctherd.service.feed import CURRENT_KEYS
from ctherd.service.moments import utc_now
from ctherd.service.records import HOSTS, read_envelope
from ctherd.service.server_keys import SIGNED, signed_by
from ctherd.signing.envelope import KeyId
from ctherd.signing.key_file import KEY_FILE, change_ring, load_ring
from ctherd.signing.key_ring import KeyRing
from ctherd.signing.key_set import open_keys
from ctherd.store.reader import Reader
from ctherd.store.sqlite import STORE_FILE

_PATIENCE_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.2


class HostsLeftBehind(CtherdError):
    """Hosts would be left that believe no key of the server."""

    code = "hosts-left-behind"


Step = Callable[[KeyRing], KeyRing]


def announce(directory: Path) -> tuple[KeyRing, bool]:
    """Let agents trust a new key; return the ring, and whether the store has it already.

    Raises: InvalidDeclaration, ConfigurationError, Unavailable.
    """
    return asyncio.run(_change(directory, lambda ring: ring.announce(utc_now())))


def rotate(directory: Path) -> tuple[KeyRing, bool]:
    """Let the announced key sign, or a new one.

    Raises: as announce.
    """
    return asyncio.run(_change(directory, lambda ring: ring.rotate(utc_now())))


def retire(directory: Path, key: KeyId, *, anyway: bool = False) -> tuple[KeyRing, bool]:
    """Let nobody trust *key* any more, which nothing in the store is signed with.

    Shape: *anyway* means that hosts may be left behind which know no other key.
    Raises: as announce; NotFound; HostsLeftBehind, with nothing changed.
    """
    return asyncio.run(_retire(directory, key, anyway=anyway))


async def _retire(directory: Path, key: KeyId, *, anyway: bool) -> tuple[KeyRing, bool]:
    ring = load_ring(directory / KEY_FILE)
    ring.retire(key)  # What the key itself forbids is told before what else stands in the way.
    if not anyway and (directory / STORE_FILE).exists():
        signing = ring.signing.id
        if behind := await _ignorant_of(signing, directory / STORE_FILE):
            raise HostsLeftBehind(
                f"{len(behind)} hosts do not know key {signing}, which signs now: {behind[0]} …",
                cure="wait until they were there, forget those that are gone (DELETE /v1/hosts/…), "
                "or say --anyway and give them server-keys.json anew",
            )
    return await _change(directory, lambda ring: ring.retire(key), unneeded=key)


async def _ignorant_of(key: KeyId, store: Path) -> list[str]:
    """Return the hosts whose agents said last that they do not trust *key*."""
    reader = Reader(store)
    try:
        snapshot = await reader.snapshot((HOSTS,))
        hosts = [each async for page in snapshot.pages for each in page]
    finally:
        await reader.close()
    return [
        each.key.removeprefix(HOSTS)
        for each in hosts
        if key not in json.loads(each.value).get("agent", {}).get("keys", ())
    ]


async def _change(
    directory: Path, step: Step, unneeded: KeyId | None = None
) -> tuple[KeyRing, bool]:
    path = directory / KEY_FILE
    async with _core_unless_served(directory) as core:
        if unneeded is not None:
            await _refuse_loss(directory / STORE_FILE, unneeded)
        ring = change_ring(path, step)
        if core is None:
            return ring, await _taken_up(directory / STORE_FILE, ring)
        await core.key_change.adopt(ring)
        return ring, True


@asynccontextmanager
async def _core_unless_served(directory: Path) -> AsyncIterator[Core | None]:
    """Open the store, or yield None if a server has it open."""
    async with AsyncExitStack() as stack:
        try:
            core: Core | None = await stack.enter_async_context(opened_core(directory))
        except Busy:
            core = None
        yield core


async def _refuse_loss(store: Path, key: KeyId) -> None:
    reader = Reader(store)
    try:
        snapshot = await reader.snapshot(SIGNED)
        bearing = [
            each.key async for page in snapshot.pages for each in page if signed_by(each) == key
        ]
    finally:
        await reader.close()
    if bearing:
        raise InvalidDeclaration(
            f"{len(bearing)} statements bear the signature of key {key} still, {bearing[0]} first",
            cure="the server's log says why they were not signed anew",
        )


async def _taken_up(store: Path, ring: KeyRing) -> bool:
    """Wait until the running server has published *ring*; tell whether it did."""
    reader = Reader(store)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while await _published(reader, ring) < ring.version:
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        return False
    finally:
        await reader.close()
    return True


async def _published(reader: Reader, ring: KeyRing) -> int:
    stored = await reader.get(CURRENT_KEYS)
    try:
        envelope = read_envelope(stored.value) if stored else None
        return open_keys(ring.verifier(retired=True), envelope).version if envelope else 0
    except CtherdError:
        return 0


def exported(directory: Path) -> str:
    """Return the file that agents pin.

    Raises: NotFound, ConfigurationError.
    """
    return json.dumps(load_ring(directory / KEY_FILE).key_set.as_plain(), indent=2)
