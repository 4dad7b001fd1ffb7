"""How a program can fail us, in words that say what to install or what it said."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from ctherd.errors import CtherdError

_PACKAGES: Final[Mapping[str, str]] = {
    "conntrack": "conntrack",
    "ip": "iproute2",
    **{
        f"{program}{variant}{verb}": "iptables"
        for program in ("iptables", "ip6tables")
        for variant in ("", "-nft", "-legacy")
        for verb in ("", "-save", "-restore")
    },
    "nft": "nftables",
}
"""The Debian package that brings a program, where its name alone does not say so."""


class ToolMissing(CtherdError):
    """A program that is needed is not installed."""

    code: ClassVar[str] = "tool-missing"


class CommandFailed(CtherdError):
    """A program ended with a failure, or not at all; carries what it said."""

    code: ClassVar[str] = "command"


def missing(program: str) -> ToolMissing:
    """Return the error for a program that is not there, with the package that brings it."""
    name = Path(program).name
    return ToolMissing(
        f"the program {name} is not installed", cure=f"apt install {_PACKAGES.get(name, name)}"
    )


def spelled(argv: Sequence[str]) -> str:
    """Return a command as it would be typed."""
    return " ".join(argv)
