"""FTP: vsftpd serves, Python's ftplib fetches; the data connection needs the helper.

ftplib speaks PORT and PASV to an IPv4 address, EPRT and EPSV to an IPv6 address.
Source: RFC 959, RFC 2428.
"""

import ftplib
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from ctherd.lab.case import PATIENCE_S, REPLY_S, Case, ExchangeFailed, NoSession, Program, Session
from ctherd.lab.offer import FILE, offer
from ctherd.lab.serving import serving
from ctherd.lab.topology import FTP_PORT, Station, Topology
from ctherd.model.catalog import Family, Protocol

_VSFTPD: Final = Program("vsftpd", "vsftpd")

# Namespaces of its own it needs none, and its seccomp sandbox is older than many a kernel's calls.
_CONFIGURATION: Final = """
background=NO
{listen}=YES
{listen_address}={address}
listen_port={port}
anonymous_enable=YES
no_anon_password=YES
anon_root={root}
secure_chroot_dir={root}
connect_from_port_20=YES
connect_timeout={patience}
accept_timeout={patience}
isolate=NO
isolate_network=NO
seccomp_sandbox=NO
"""


class _Client(ftplib.FTP):
    """The client, but for a socket that ftplib forgets to close where the server refuses PORT."""

    def makeport(self) -> socket.socket:
        """Listen for a data connection, and tell the server where."""
        assert self.sock is not None, "nobody listens before the control connection is open"
        listener = socket.create_server(("", 0), family=self.af, backlog=1)
        tell = self.sendport if self.af == socket.AF_INET else self.sendeprt
        try:
            tell(self.sock.getsockname()[0], listener.getsockname()[1])
        except BaseException:
            listener.close()
            raise
        listener.settimeout(self.timeout)
        return listener


@dataclass(frozen=True, slots=True)
class _Fetching:
    """A logged-in client, which fetches the payload over a data connection of its own each time."""

    client: Station
    ftp: ftplib.FTP
    payload: bytes

    def exchange(self) -> str:
        """Fetch the payload.

        Raises: ExchangeFailed.
        """
        try:
            with self.client.inside():
                data, _ = self.ftp.ntransfercmd(f"RETR {FILE}")
            with closing(data), data.makefile("rb") as content:
                host, port, *_ = data.getpeername()
                received = content.read()
            self.ftp.voidresp()
        except ftplib.all_errors as error:
            raise ExchangeFailed(f"{type(error).__name__}: {error}") from error
        if received != self.payload:
            raise ExchangeFailed(f"{len(received)} bytes came, but not those that are served")
        return f"{len(received)} bytes from {host}, port {port}"

    def alive(self) -> bool:
        """Tell whether the server answers NOOP."""
        try:
            return self.ftp.sendcmd("NOOP").startswith("200")
        except ftplib.all_errors:
            return False


@contextmanager
def _open(family: Family, passive: bool, net: Topology) -> Iterator[Session]:
    with _served(net.server, family) as payload, closing(_Client()) as ftp:
        _log_in(ftp, net.client, net.server.address(family))
        ftp.set_pasv(passive)
        # For data connections; the control connection keeps its own.
        ftp.timeout = PATIENCE_S
        yield _Fetching(net.client, ftp, payload)


def _log_in(ftp: ftplib.FTP, client: Station, host: str) -> None:
    try:
        with client.inside():
            ftp.connect(host, FTP_PORT, timeout=REPLY_S)
        ftp.login()
        ftp.voidcmd("TYPE I")
    except ftplib.all_errors as error:
        raise NoSession(f"{type(error).__name__}: {error}", where=host) from error


@contextmanager
def _served(server: Station, family: Family) -> Iterator[bytes]:
    v6 = family is Family.IPV6
    with offer() as offered:
        configuration = offered.directory / "vsftpd.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                listen="listen_ipv6" if v6 else "listen",
                listen_address="listen_address6" if v6 else "listen_address",
                address=server.address(family),
                port=FTP_PORT,
                root=offered.root,
                patience=round(PATIENCE_S),
            ),
            encoding="ascii",
        )
        with serving(server, [_VSFTPD.path, str(configuration)], Protocol.TCP, FTP_PORT):
            yield offered.content


def _case(name: str, family: Family, *, passive: bool) -> Case:
    return Case(
        name=name,
        helper="ftp",
        l4=Protocol.TCP,
        port=FTP_PORT,
        family=family,
        software="vsftpd, client ftplib",
        open=partial(_open, family, passive),
        needs=(_VSFTPD,),
    )


CASES: Final = (
    _case("ftp active, IPv4 (PORT)", Family.IPV4, passive=False),
    _case("ftp passive, IPv4 (PASV)", Family.IPV4, passive=True),
    _case("ftp active, IPv6 (EPRT)", Family.IPV6, passive=False),
    _case("ftp passive, IPv6 (EPSV)", Family.IPV6, passive=True),
)
