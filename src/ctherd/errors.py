"""The taxonomy of errors, classed by who must act, and nothing else.

Every error carries a stable *code* (for programs), says *what* is wrong, *where*, and what would
*cure* it (for people). Foreign exceptions are translated once, at the edge, with ``raise … from``.
"""

import os
from typing import ClassVar


class CtherdError(Exception):
    """Anything ctherd reports on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.cure = cure

    def as_data(self) -> dict[str, str]:
        """Return it as JSON has it."""
        return {"code": self.code, "what": self.what, "where": self.where, "cure": self.cure}

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.cure})" if self.cure else ""
        return f"{place}{self.what}{advice}"


# -- the caller must act ---------------------------------------------------------------------------


class InvalidDeclaration(CtherdError):
    """What was declared cannot be meant: bad value, duplicate, overlap, unreadable file."""

    code = "invalid"


class NotFound(CtherdError):
    """The thing that was asked for by name is not known here."""

    code = "not-found"


# -- wait ------------------------------------------------------------------------------------------


class NetnsAbsent(CtherdError):
    """The network namespace does not exist (yet, or any more)."""

    code = "netns-absent"


class NetnsDirectoryAbsent(NetnsAbsent):
    """The directory in which network namespaces are mounted does not exist (yet)."""

    code = "netns-directory-absent"


class Contended(CtherdError):
    """Somebody else kept changing the ruleset while we tried; nothing was changed by us."""

    code = "contended"


class Overloaded(CtherdError):
    """More is waiting than may wait; nothing was done. Try again after *retry_after_s*."""

    code = "overloaded"

    def __init__(self, what: str, *, retry_after_s: int = 1) -> None:
        super().__init__(what, cure=f"try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class LockHeld(CtherdError):
    """Somebody else holds the lock of iptables for long; nothing was changed by us."""

    code = "lock-held"


# -- the operator must act -------------------------------------------------------------------------


class NetnsRefused(CtherdError):
    """The name does not lead to a network namespace that ctherd may use."""

    code = "netns-refused"


class ConfigurationError(CtherdError):
    """An option, in the configuration file or on the command line, is wrong."""

    code = "configuration"


class UnsafePlan(CtherdError):
    """The plan removes unusually much and nobody confirmed it."""

    code = "unsafe"


class Busy(CtherdError):
    """Another ctherd holds this state directory or serves these namespaces."""

    code = "busy"


class PrivilegeMissing(CtherdError):
    """The process lacks a capability."""

    code = "privilege"


class JournalError(CtherdError):
    """The journal cannot be read or written, so nothing may be changed."""

    code = "journal"


# -- the kernel refused ----------------------------------------------------------------------------


class DataplaneError(CtherdError):
    """The kernel refused an operation; carries its errno and its own words."""

    code = "kernel"

    def __init__(
        self, operation: str, *, netns: str = "", errno: int, words: str = "", cure: str = ""
    ) -> None:
        self.operation = operation
        self.netns = netns
        self.errno = errno
        self.words = words or os.strerror(errno)
        super().__init__(f"{operation}: {self.words}", where=netns, cure=cure)


# -- we, or a peer, broke a protocol ---------------------------------------------------------------


class LocalProtocolError(CtherdError):
    """We were about to say something that the protocol does not allow: our bug."""

    code = "local-protocol"


class RemoteProtocolError(CtherdError):
    """The peer (kernel, agent, client) said something that the protocol does not allow."""

    code = "remote-protocol"
