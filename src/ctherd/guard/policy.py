"""The local policy: what the operator of this machine allows, whatever a document says."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ctherd.errors import ConfigurationError
from ctherd.model.catalog import ALIASES, HELPERS, Protocol, names
from ctherd.model.safe_scope import WIDE, SafeScope

PortRange = tuple[int, int]
"""Lowest and highest port, both included."""

ALL_PORTS: Final[tuple[PortRange, ...]] = ((1, 65535),)


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be enforced on this machine; the default allows all but the host itself.

    Shape: helpers go by the kernel's names or by aliases, and an alias means every helper behind
    it; *allowed_helpers* None allows the whole catalog, *max_per_router* None any number;
    *netns_patterns* are shell patterns, case-sensitive, and do not concern the host;
    *require_destinations* names helpers that may not serve every address; *kill* withdraws
    helpers at once, whatever else allows them; *allow_tls_ports* false denies what could only ever
    look at encrypted connections, *allow_adopt_flows* false what would reach connections that are
    open already; *allow_probe* lets `ctherd verify` send flows through a copy of a router; *scope*
    narrows what is allowed.
    Raises: ConfigurationError, on construction, for a helper that the catalog does not list.
    """

    allowed_helpers: frozenset[str] | None = None
    allowed_protocols: frozenset[Protocol] = frozenset(Protocol)
    allowed_ports: tuple[PortRange, ...] = ALL_PORTS
    netns_patterns: tuple[str, ...] = ("*",)
    allow_host: bool = False
    max_per_router: int | None = None
    require_destinations: frozenset[str] = frozenset()
    kill: frozenset[str] = frozenset()
    allow_tls_ports: bool = True
    allow_adopt_flows: bool = True
    allow_probe: bool = True
    scope: SafeScope = WIDE

    def __post_init__(self) -> None:
        for given in (self.allowed_helpers or (), self.require_destinations, self.kill):
            kernel_names(given)


def kernel_names(given: Iterable[str]) -> frozenset[str]:
    """Return the kernel's names of all helpers that *given* mean, on any protocol.

    Raises: ConfigurationError for a name that the catalog does not list.
    """
    return frozenset(kernel_name for name in given for kernel_name in _meanings(name))


def _meanings(name: str) -> tuple[str, ...]:
    found = tuple(helper.name for helper in HELPERS if helper.name == name)
    found += tuple(target for (alias, _), target in ALIASES.items() if alias == name)
    if not found:
        raise ConfigurationError(
            f"there is no conntrack helper {name!r}", cure=f"known are {', '.join(names())}"
        )
    return found
