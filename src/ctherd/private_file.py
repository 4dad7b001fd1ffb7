"""Files that hold secrets: nobody else may read them, and each is wholly old or wholly new.

What the secrets mean is not known here.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ctherd.errors import ConfigurationError, NotFound

_MODE: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LARGEST: Final = 16 * 1024 * 1024


def read_private(path: Path) -> bytes:
    """Return what the file holds.

    Raises: NotFound; ConfigurationError if it belongs to others, if they may use it, or if it
    cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise NotFound("there is no such file", where=str(path)) from error
    except OSError as error:
        raise _unusable(path, error) from error
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError("this is not a file", where=str(path))
        if status.st_uid not in (0, os.geteuid(), path.parent.stat().st_uid):
            raise ConfigurationError(
                f"this file belongs to somebody else (user {status.st_uid})", where=str(path)
            )
        if status.st_mode & _OTHERS:
            raise ConfigurationError(
                f"others may use this file (mode {stat.S_IMODE(status.st_mode):04o})",
                where=str(path),
                cure=f"chmod 600 {path}; and whatever it held may be known to others by now",
            )
        return file.read(_LARGEST)


def create_private(path: Path, content: bytes) -> None:
    """Make the file, with *content*, durably.

    Raises: FileExistsError if there is one; ConfigurationError if it cannot be written.
    """
    with _beside(path, content) as new:
        # A link, unlike a rename, never replaces.
        os.link(new, path)


def replace_private(path: Path, content: bytes) -> None:
    """Give the file *content*, durably: whoever reads sees the old or the new, never a part.

    Raises: ConfigurationError if it cannot be written.
    """
    with _beside(path, content) as new:
        new.replace(path)


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Wait until no other process changes private files of *directory*, and keep others waiting.

    Raises: ConfigurationError if the directory cannot be opened.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(directory, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def give_to_owner(fd: int, directory: Path) -> None:
    """Let a file that root makes in somebody's directory belong to whoever owns that.

    A command that root runs must not leave files that the server's own user cannot read.
    """
    owner = directory.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(fd, owner.st_uid, owner.st_gid)


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """Write *content* to a new file in the same directory, for the caller to put in place."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        # What a dead process of our number left behind.
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with open(fd, "wb") as file:
            give_to_owner(fd, path.parent)
            file.write(content)
            file.flush()
            os.fsync(fd)
        yield new
        _sync(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise _unusable(path, error) from error
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"the file cannot be used: {error.strerror}", where=str(path))
