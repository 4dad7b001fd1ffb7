"""How far helpers may reach at all: what narrows them, on every router of a machine.

Nothing here opens anything. A packet that is turned away gets no helper, or is dropped where the
router's own firewall might have let it pass.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ctherd.errors import ConfigurationError
from ctherd.model.catalog import HELPERS, by_name

_LONGEST_NAME: Final = 15  # IFNAMSIZ, without its NUL


class AntiSpoofing(StrEnum):
    """Where a packet must have come from to get a helper.

    STRICT: by the interface by which an answer would leave; LOOSE: from an address that is
    routed at all.
    """

    OFF = "off"
    LOOSE = "loose"
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class SafeScope:
    """What narrows helpers.

    Shape: *related* drops connections that a helper let in unless that helper is assigned on this
    router, and the port is at least *lowest_ports* of the helper, else the catalog's; nothing is
    assigned to packets that come in by an interface of *not_from*: names, or beginnings of names
    that end in ``*``.
    Raises: ConfigurationError, on construction.
    """

    related: bool = False
    lowest_ports: Mapping[str, int] = field(default_factory=dict)
    anti_spoofing: AntiSpoofing = AntiSpoofing.OFF
    not_from: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = {helper.name for helper in HELPERS}
        for helper in self.lowest_ports:
            if helper not in known:
                raise ConfigurationError(
                    f"there is no conntrack helper {helper!r}",
                    where="lowest_ports",
                    cure=f"known are {', '.join(sorted(known))}",
                )
        for name in self.not_from:
            _check_interface(name)

    @property
    def narrows_assignment(self) -> bool:
        """True if some packets are turned away before they get a helper."""
        return bool(self.not_from) or self.anti_spoofing is not AntiSpoofing.OFF

    def lowest_port(self, helper: str) -> int:
        """Return the lowest port to which *helper* may let a connection in."""
        return self.lowest_ports.get(helper, by_name(helper).lowest_port)


WIDE: Final = SafeScope()
"""Nothing is narrowed."""


def letting_in(helpers: Iterable[str]) -> dict[str, str]:
    """Return every helper that may let connections in where *helpers* are assigned, sorted.

    Shape: the kernel's name of the letting one → the assigned one for which it counts.
    """
    found: dict[str, str] = {}
    for helper in sorted(helpers):
        for each in (helper, *by_name(helper).hands_on):
            found.setdefault(each, helper)
    return dict(sorted(found.items()))


def _check_interface(name: str) -> None:
    plain = name.removesuffix("*")
    if "*" in plain or "/" in plain or any(each.isspace() for each in plain) or not name:
        what = f"{name!r} is neither an interface nor the beginning of one"
    elif not plain:
        what = f"{name!r} means every interface: then no helper would work"
    elif len(name.encode()) > _LONGEST_NAME:
        what = f"{name!r} is longer than the name of an interface can be"
    else:
        return
    raise ConfigurationError(what, where="not_from", cure='write for example "eth0" or "qg-*"')
