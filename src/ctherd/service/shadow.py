"""Stand-ins that let a plan be made without anything being changed."""

from collections.abc import Iterable, Mapping, Sequence

from ctherd.errors import CtherdError, LocalProtocolError
from ctherd.model.document import NetnsName
from ctherd.ports import (
    Capabilities,
    Dataplane,
    Edit,
    Observed,
    ObserveRequest,
    Outcome,
    Record,
    Transaction,
)


class ReadOnlyDataplane:
    """Observes by another dataplane and lets nothing through that changes or closes anything."""

    def __init__(self, dataplane: Dataplane) -> None:
        self._dataplane = dataplane

    def capabilities(self) -> Capabilities:
        """Ask the real one."""
        return self._dataplane.capabilities()

    def identify(self, names: Sequence[NetnsName]) -> list[int | CtherdError]:
        """Ask the real one."""
        return self._dataplane.identify(names)

    def observe(self, requests: Sequence[ObserveRequest]) -> list[Observed]:
        """Ask the real one."""
        return self._dataplane.observe(requests)

    def commit(self, transactions: Sequence[Transaction]) -> list[Outcome]:
        """Refuse: whoever plans does not commit.

        Raises: LocalProtocolError, always.
        """
        raise LocalProtocolError("a plan must not change anything")

    def release(self, names: Iterable[NetnsName]) -> None:
        """Keep them open: they are not ours to close."""


class MemoryJournal:
    """A journal that forgets: for planning, and where nothing was ever made."""

    def __init__(self, records: Mapping[NetnsName, Record]) -> None:
        self._records = dict(records)

    def load(self) -> dict[NetnsName, Record]:
        """Return every record."""
        return dict(self._records)

    def record(self, edits: Sequence[Edit]) -> None:
        """Write nothing anywhere."""

    def drop(self, names: Sequence[NetnsName]) -> None:
        """Write nothing anywhere."""

    def rename(self, old: NetnsName, new: NetnsName) -> None:
        """Write nothing anywhere."""
