"""A real FTP and TFTP client as a process of its own, which says in JSON how it fared.

``python -m ctherd.demo.fetch METHOD HOST PORT FILE TIMEOUT_S [forever]`` writes one line for each
attempt; with ``forever`` it goes on until its stdin ends. Nothing of ours enters here but that.
"""

import ftplib
import hashlib
import io
import json
import select
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

FTP_ACTIVE: Final = "ftp-active"
FTP_PASSIVE: Final = "ftp-passive"
TFTP: Final = "tftp"

_PAUSE_MS: Final = 10
"""Between attempts, so that a test of hours does not run out of ports."""


def fetch_ftp(host: str, port: int, file: str, timeout_s: float, *, passive: bool) -> bytes:
    """Return the content of *file*, over a data connection that the mode tells how to open.

    ftplib speaks PORT and PASV to an IPv4 address, EPRT and EPSV to an IPv6 address.
    Raises: OSError, EOFError or ftplib.Error, as ftplib does.
    """
    content = io.BytesIO()
    ftp = ftplib.FTP(timeout=timeout_s)
    try:
        ftp.connect(host, port)
        ftp.login()
        ftp.set_pasv(passive)
        ftp.retrbinary(f"RETR {file}", content.write)
        ftp.quit()
    finally:
        ftp.close()
    return content.getvalue()


def fetch_tftp(host: str, port: int, file: str, timeout_s: float) -> bytes:
    """Return the content of *file*.

    Raises: OSError or tftpy.TftpException, as tftpy does.
    """
    from tftpy import TftpClient

    from ctherd.demo.tftp_family import speak_ipv6

    if ip_address(host).version == 6:
        speak_ipv6()
    content = io.BytesIO()
    TftpClient(host, port).download(file, content, timeout=timeout_s, retries=1)
    return content.getvalue()


def attempt(method: str, host: str, port: int, file: str, timeout_s: float) -> dict[str, object]:
    """Fetch once, and return what came of it as plain data."""
    started_s = time.monotonic()
    content, error = _content_or_error(method, host, port, file, timeout_s)
    return {
        "error": error,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "started_s": started_s,
        "duration_ms": (time.monotonic() - started_s) * 1000,
    }


def _content_or_error(
    method: str, host: str, port: int, file: str, timeout_s: float
) -> tuple[bytes, str]:
    try:
        if method == TFTP:
            return fetch_tftp(host, port, file, timeout_s), ""
        return fetch_ftp(host, port, file, timeout_s, passive=method == FTP_PASSIVE), ""
    except (*ftplib.all_errors, *_tftp_errors()) as error:
        return b"", f"{type(error).__name__}: {error}"


def _tftp_errors() -> tuple[type[Exception], ...]:
    # Asked for after something failed, so tftpy is there if it was needed.
    tftpy = sys.modules.get("tftpy")
    return (tftpy.TftpException,) if tftpy else ()


def _stdin_ended() -> bool:
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(_PAUSE_MS))


def _report(attempted: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(attempted) + "\n")
    sys.stdout.flush()


def main(method: str, host: str, port: str, file: str, timeout_s: str, *forever: str) -> None:
    """Do what the command line says."""

    def once() -> dict[str, object]:
        return attempt(method, host, int(port), file, float(timeout_s))

    _repeat(once) if forever else _report(once())


def _repeat(once: Callable[[], dict[str, object]]) -> None:
    while True:
        _report(once())
        if _stdin_ended():
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
