"""A file that a server of a case offers: random content, which only who fetched it can know."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = "payload.bin"

_SIZE: Final = 100_000


@dataclass(frozen=True, slots=True)
class Offer:
    """The file FILE in *root*, readable for any user; *directory* is free for all else."""

    directory: Path
    root: Path
    content: bytes


@contextmanager
def offer() -> Iterator[Offer]:
    """Have such a file; afterwards it and its directory are gone."""
    with tempfile.TemporaryDirectory(prefix="ctherd-lab-") as name:
        made = Offer(Path(name), Path(name, "root"), secrets.token_bytes(_SIZE))
        made.root.mkdir()
        (made.root / FILE).write_bytes(made.content)
        # A server serves it as a user that may do little.
        for directory in (made.directory, made.root):
            directory.chmod(0o755)
        yield made
