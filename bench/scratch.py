"""Directories for what is durable while it is measured: on a real disk, and gone afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.namespaces import PREFIX

_DISK: Final = "/var/tmp"
"""On a disk everywhere, which cannot be said of ``/tmp``."""


@contextmanager
def directory() -> Iterator[Path]:
    """Have an empty directory."""
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-", dir=_DISK) as at:
        yield Path(at)
