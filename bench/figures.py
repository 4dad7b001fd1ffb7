"""Every figure, by name, in the order in which it is told."""

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Final

from bench import (
    add_one,
    drift,
    help,
    hostile_writer,
    iptables,
    lab,
    memory,
    narrowing,
    packets,
    reconcile_empty,
    reconcile_unchanged,
    revocation,
    server_requests,
    to_kernel,
    versus_neutron,
    versus_nft,
    watchers,
)
from bench.row import Row
from bench.size import Size

_MODULES: Final = (
    reconcile_empty,
    reconcile_unchanged,
    add_one,
    versus_nft,
    versus_neutron,
    iptables,
    drift,
    hostile_writer,
    memory,
    packets,
    narrowing,
    revocation,
    lab,
    help,
    server_requests,
    to_kernel,
    watchers,
)

FIGURES: Final[Mapping[str, ModuleType]] = {
    module.__name__.rpartition(".")[2]: module for module in _MODULES
}


def measure(name: str, size: Size) -> list[Row]:
    """Measure the figure *name*."""
    rows: list[Row] = FIGURES[name].measure(size)
    return rows


def method(name: str) -> str:
    """Return how the figure *name* is measured, and what it does not say."""
    return inspect.getdoc(FIGURES[name]) or ""
