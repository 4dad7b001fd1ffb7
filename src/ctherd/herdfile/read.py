"""Read a herd file from disk, once and whole; the only I/O of this package."""

import os
import stat
from pathlib import Path

from ctherd.errors import InvalidDeclaration
from ctherd.herdfile.parse import MAX_BYTES, Herd, parse_herd


def read_herd(path: Path | str, *, of_hosts: bool = False) -> Herd:
    """Read and parse the herd file at *path*; *of_hosts* as in parse_herd.

    Raises: InvalidDeclaration if it cannot be read, or for what parse_herd raises it.
    """
    try:
        content = _read(path)
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise InvalidDeclaration(
            f"the file cannot be read: {words}",
            where=str(path),
            cure="is the path right, and may this user read it?",
        ) from error
    return parse_herd(content, str(path), of_hosts=of_hosts)


def _read(path: Path | str) -> bytes:
    # O_NONBLOCK: opening a FIFO must fail below, not wait for a writer.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        return file.read(MAX_BYTES + 1)
