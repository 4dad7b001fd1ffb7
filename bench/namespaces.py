"""A crowd of fresh network namespaces in a directory of their own, gone at the end at once."""

import atexit
import ctypes
import os
import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

from ctherd import process
from ctherd.model.document import NetnsName
from ctherd.netns.enter import entered, unshared

_MS_BIND: Final = 0x1000
_MS_PRIVATE: Final = 1 << 18
_MNT_DETACH: Final = 2

PREFIX: Final = f"ctbench-{secrets.token_hex(3)}"
"""What all that this process makes is called: another one may measure at the same time."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


@contextmanager
def crowd(count: int) -> Iterator[tuple[Path, list[NetnsName]]]:
    """Have a netns directory with *count* namespaces; afterwards the kernel is rid of them."""
    with _directory() as path:
        names = [NetnsName(f"{path.name}-{index}") for index in range(count)]
        for name in names:
            _make(path / name)
        yield path, names


@contextmanager
def crowd_of(names: Sequence[NetnsName]) -> Iterator[Path]:
    """Have a netns directory with namespaces of these names; afterwards they are gone as well."""
    with _directory() as path:
        for name in names:
            _make(path / name)
        yield path


@contextmanager
def _directory() -> Iterator[Path]:
    """Have a directory that is a mount of its own, and afterwards nothing of what was in it.

    One unmount removes all namespaces there, and nothing is ever seen in ``/run/netns``.
    """
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-", dir="/run"))
    clean = partial(_remove, path)
    # Registered before anything is mounted: a signal may come in between.
    atexit.register(clean)
    try:
        _mount("tmpfs", path, kind="tmpfs")
        _mount("none", path, flags=_MS_PRIVATE)
        yield path
    finally:
        clean()
        atexit.unregister(clean)
        _wait_for_the_dead()


def end_by_exception() -> None:
    """Let SIGTERM and SIGHUP unwind the stack, as SIGINT does, so that namespaces are removed."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def _make(path: Path) -> None:
    path.touch()
    with unshared() as netns_fd:
        _mount(f"/proc/{os.getpid()}/fd/{netns_fd}", path, flags=_MS_BIND)


def _remove(path: Path) -> None:
    _libc.umount2(os.fsencode(path), _MNT_DETACH)
    with suppress(FileNotFoundError):
        path.rmdir()


def _wait_for_the_dead(timeout_s: float = 60.0) -> None:
    """Wait until the kernel has taken down every netns that nobody holds any more.

    It does so one after the other in the background, which would disturb whatever is measured
    next. One more netns is given up, and a veth whose other end is in it vanishes when its turn
    has come.
    """
    deadline_s = time.monotonic() + timeout_s
    with unshared() as stays:
        with unshared() as dies:
            process.run(
                ["ip", "link", "add", "canary", "type", "veth", "peer", "name", "other",
                 "netns", f"/proc/{os.getpid()}/fd/{dies}"],
                netns_fd=stays,
            )  # fmt: skip
        with entered(stays):
            while _exists("canary") and time.monotonic() < deadline_s:
                time.sleep(0.02)


def _exists(interface: str) -> bool:
    try:
        socket.if_nametoindex(interface)
    except OSError:
        return False
    return True


def _mount(source: str, target: Path, *, kind: str = "", flags: int = 0) -> None:
    status = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), None
    )
    if status != 0:
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}")
