"""A case: one exchange that needs a helper, in one family, and the session in which it happens.

What an exchange says to whom stands in ``exchanges``; nothing of ctherd, nor of when a helper is
assigned, enters here or there. A thread may open a case: sockets are made with the thread inside a
station (``Station.inside``), and stay in its namespace.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, Protocol

from ctherd import process
from ctherd.errors import CtherdError
from ctherd.lab.topology import Station, Topology
from ctherd.model.catalog import Family
from ctherd.model.catalog import Protocol as L4

PATIENCE_S: Final = 1.0
"""How long an exchange waits for what only a helper lets through. It arrives within milliseconds,
or never."""

REPLY_S: Final = 5.0
"""How long an answer on the control connection may take, on a machine that is busy."""

# A shell that became root by plain `su` lacks the sbin directories.
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


class ExchangeFailed(CtherdError):
    """What needs the helper did not arrive, which is what must happen without it."""

    code: ClassVar[str] = "exchange"


class NoSession(CtherdError):
    """The control connection could not be had, so nothing can be said of the helper."""

    code: ClassVar[str] = "no-session"


class Session(Protocol):
    """One control connection of an exchange, open until the context ends."""

    def exchange(self) -> str:
        """Do one data exchange that needs the helper; say in words what came of it.

        Shape: "100000 bytes from 198.51.100.2, port 20". It can be called again.
        Raises: ExchangeFailed if it did not arrive, with what was seen instead.
        """

    def alive(self) -> bool:
        """Tell whether the control connection still answers; for UDP: whether a packet passes."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program of this system that a case needs, and the Debian package that brings it."""

    name: str
    package: str

    @property
    def path(self) -> str:
        """Where it is, "" if it is not installed."""
        return shutil.which(self.name, path=_PATH) or ""

    def version(self) -> str:
        """Return the version of its package, "" where dpkg does not know."""
        query = ["dpkg-query", "-W", "-f", "${Version}", self.package]
        if shutil.which(query[0]) is None:
            return ""
        asked = process.run(query, check=False)
        return asked.stdout if asked.returncode == 0 else ""


@dataclass(frozen=True, slots=True)
class Case:
    """One exchange in one family, with the helper that it cannot do without.

    Shape: *helper* is the kernel's name, *port* that of the control connection, which the router
    lets pass from the inside; with *own_sockets* the router itself talks, and nothing is let in but
    answers. *software* says who talks ("vsftpd, client ftplib"; "own exchange"), *needs* what of it
    has to be installed. *expects* is false where the helper rewrites payload and expects nothing.
    *open* starts the server and opens the control connection; on leaving, both have ended. It
    raises CtherdError or OSError, and nothing else.
    """

    name: str
    helper: str
    l4: L4
    port: int
    family: Family
    software: str
    open: Callable[[Topology], AbstractContextManager[Session]]
    needs: tuple[Program, ...] = ()
    own_sockets: bool = False
    expects: bool = True

    def missing(self) -> tuple[Program, ...]:
        """Return what has to be installed first."""
        return tuple(each for each in self.needs if not each.path)

    def as_data(self) -> dict[str, Any]:
        """Return what it is, as JSON has it."""
        return {
            "case": self.name,
            "helper": self.helper,
            "protocol": self.l4.value,
            "port": self.port,
            "family": self.family.value,
            "software": self.software,
            "missing": [each.package for each in self.missing()],
        }

    def __str__(self) -> str:
        return self.name


Between = Callable[[Station, Station, Family, int], AbstractContextManager[Session]]
"""Opens a session from a client to a port of a server."""


def in_both_families(
    name: str,
    helper: str,
    l4: L4,
    port: int,
    session: Between,
    software: str = "own exchange",
    needs: tuple[Program, ...] = (),
) -> tuple[Case, ...]:
    """Return the cases of an exchange whose addresses matter: through NAT, and without."""
    return tuple(
        Case(
            name=f"{name}, {'IPv4 NAT' if family is Family.IPV4 else 'IPv6'}",
            helper=helper,
            l4=l4,
            port=port,
            family=family,
            software=software,
            open=partial(_from_client_to_server, session, family, port),
            needs=needs,
        )
        for family in Family
    )


def _from_client_to_server(
    session: Between, family: Family, port: int, net: Topology
) -> AbstractContextManager[Session]:
    return session(net.client, net.server, family, port)
