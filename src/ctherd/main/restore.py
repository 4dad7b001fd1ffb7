"""Begins a new life of the store from a backup: everything is signed anew, for the new epoch."""

from pathlib import Path

from ctherd.errors import ConfigurationError, NotFound
from ctherd.main.core import private_directory
from ctherd.service.publish import renew
from ctherd.signing.envelope import SignatureRefused
from ctherd.signing.key_file import KEY_FILE, load_ring
from ctherd.store import backup
from ctherd.store.backup import Place
from ctherd.store.port import Stored, Write
from ctherd.store.sqlite import STORE_FILE


def restore(source: Path, directory: Path, *, replace: bool, past_epoch: int) -> Place:
    """Make the store in *directory* from the backup *source*; say where its new life begins.

    Raises: ConfigurationError without the keys that signed the backup, or if there is a store and
    not *replace*; Busy, Unavailable. Then nothing happened.
    """
    try:
        ring = load_ring(private_directory(directory) / KEY_FILE)
    except NotFound as error:
        raise ConfigurationError(
            "a backup is worth nothing without the keys that signed it",
            where=error.where,
            cure="put the file of signing keys there first",
        ) from error
    # A retired key vouches for what it signed in its time, here and nowhere else.
    verifier, signer = ring.verifier(retired=True), ring.signing.signer

    def renewed(stored: Stored, epoch: int) -> Write | None:
        return renew(stored, verifier, signer, epoch)

    try:
        return backup.restore(
            source, directory / STORE_FILE, renewed, replace=replace, past_epoch=past_epoch
        )
    except SignatureRefused as error:
        raise ConfigurationError(
            f"the backup was not signed by the keys of this server: {error}",
            where=str(source),
            cure="put the file of signing keys there that belongs to it",
        ) from error
