"""Verifies the audit in the store's own file, which a server may have open meanwhile."""

from pathlib import Path

from ctherd.authz.audit.verify import Verdict, verify
from ctherd.signing.key_file import KEY_FILE, load_ring
from ctherd.store.reader import Reader
from ctherd.store.sqlite import STORE_FILE


async def verified(directory: Path) -> Verdict:
    """Return what is wrong with the audit of the server in *directory*.

    Raises: NotFound, ConfigurationError, Unavailable.
    """
    # What a retired key sealed in its time stays sealed.
    verifier = load_ring(directory / KEY_FILE).verifier(retired=True)
    reader = Reader(directory / STORE_FILE)
    try:
        return await verify(reader, verifier)
    finally:
        await reader.close()
