"""Findings: what others have in a netns that bears on helpers, as plain values with a sentence."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

LOOPBACK: Final = "lo"

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class FindingKind(StrEnum):
    """What a foreign thing does to helpers. The first assignment to a connection wins."""

    HELPER_FIRST = "helper-first"
    HELPER_LATER = "helper-later"
    HELPER_AFTER_NAT = "helper-after-nat"
    HELPER_WITHOUT_EFFECT = "helper-without-effect"
    UNTRACKED = "untracked"
    LOOKALIKE = "lookalike"
    UNREADABLE = "unreadable"
    OTHER_VARIANT = "other-variant"


class PortRange(NamedTuple):
    """Ports from *first* to *last*, both included."""

    first: int
    last: int

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Scope:
    """The packets that a rule is about, as far as that is cheaply known.

    Shape: *protocol* "" and no *ports*: any, or not understood; *ports* are of the destination
    where the rule names those, else of the source; *interface* is one that packets come or go by.
    """

    protocol: str = ""
    ports: tuple[PortRange, ...] = ()
    interface: str = ""

    def may_match(self, protocol: str, port: int) -> bool:
        """Tell whether packets from elsewhere to *port* (or back from it) may be meant."""
        if self.interface == LOOPBACK or self.protocol not in ("", protocol):
            return False
        return not self.ports or any(port in each for each in self.ports)

    def __str__(self) -> str:
        ports = ",".join(map(str, self.ports))
        what = f"{self.protocol or 'any protocol'}{f'/{ports}' if ports else ''}"
        return f"{what} on {printable(self.interface)}" if self.interface else what


EVERYTHING: Final = Scope()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a foreign thing is, in the words of nft.

    Shape: *family* is nft's (``ip``, ``ip6``, ``inet`` …); *handle* 0 is none; *legacy* means
    iptables-legacy, which nft does not see.
    """

    family: str
    table: str
    chain: str = ""
    handle: int = 0
    legacy: bool = False

    def __str__(self) -> str:
        words = [self.family, "table", printable(self.table)]
        words += ["chain", printable(self.chain)] if self.chain else []
        words += ["handle", str(self.handle)] if self.handle else []
        return " ".join([*words, "(iptables-legacy)"] if self.legacy else words)


@dataclass(frozen=True, slots=True)
class Finding:
    """One foreign thing that bears on helpers.

    Shape: *helper* is the kernel's name, "" where none is assigned; *remove* is the command line
    that removes it, run inside the netns, "" where a foreign name cannot be spelled safely.
    """

    kind: FindingKind
    place: Place
    sentence: str
    scope: Scope = EVERYTHING
    helper: str = ""
    remove: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


def printable(name: str) -> str:
    """Return a name that others chose so that it does no harm to a terminal."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)


def nft_delete(what: str, family: str, *names: str) -> str:
    """Return the nft command line that deletes what *names* lead to.

    It is meant to be pasted into a root shell: names that others chose freely are not let in.
    """
    if not all(_PLAIN_NAME.fullmatch(name) for name in names):
        return ""
    return " ".join(("nft delete", what, family, *names))


def as_data(finding: Finding) -> dict[str, object]:
    """Return *finding* as plain data for JSON."""
    return {
        "kind": finding.kind.value,
        "family": finding.place.family,
        "table": finding.place.table,
        "chain": finding.place.chain,
        "handle": finding.place.handle or None,
        "legacy": finding.place.legacy,
        "protocol": finding.scope.protocol,
        "ports": [list(each) for each in finding.scope.ports],
        "interface": finding.scope.interface,
        "helper": finding.helper,
        "sentence": finding.sentence,
        "remove": finding.remove,
    }
