"""The way of a probe: who talks to whom, and for which assignment."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ctherd.errors import CtherdError
from ctherd.lab.topology import Station
from ctherd.model.catalog import Family, Protocol


class NoFlow(CtherdError):
    """The probe did not come through the copy, so that nothing can be said of the helper."""

    code: ClassVar[str] = "no-flow"


@dataclass(frozen=True, slots=True)
class Way:
    """Who talks to whom. Shape: *broadcast* is an address that the router can ask everybody by."""

    client: Station
    router: Station
    server: Station
    family: Family
    protocol: Protocol
    port: int
    broadcast: str = ""


Flow = Callable[[Way], str]
"""Sends one; says what came of it.

Raises: ExchangeFailed if what the helper lets through did not arrive; OSError, NoFlow or another
CtherdError if not even the control connection came through.
"""
