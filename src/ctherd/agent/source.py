"""The seam between the agent and whoever tells it what is wanted: a file, or a server."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ctherd.model.document import Document, NetnsName
from ctherd.reconcile.reconciler import Report
from ctherd.service.host import HostService
from ctherd.service.host_answers import Answer


class Enforcer(Protocol):
    """What a source may ask of the agent; all of it happens in the agent's event loop."""

    @property
    def service(self) -> HostService:
        """Plans, applies and shows on this host."""

    def accept(self, documents: Iterable[Document], *, complete: bool = True) -> set[NetnsName]:
        """Make *documents* true; *complete* means that nothing else is wanted.

        Shape: returns the netns that will be looked at for it.
        """

    def withdraw(self, names: Iterable[NetnsName]) -> None:
        """Want nothing in these netns any more."""

    def look_everywhere(self) -> None:
        """Observe every netns again."""


class Source(Protocol):
    """Where documents come from.

    Nothing may be removed that is merely not known yet: until a source knows everything that is
    wanted, what it accepts is not complete.
    """

    @property
    def in_sync(self) -> bool:
        """Whether everything that is wanted is known at this moment."""

    def doubts(self) -> Mapping[str, int]:
        """Return how much is not taken over as it is, by the reason for it."""

    def begin(self, agent: Enforcer) -> None:
        """Say what is wanted, as far as it is known at once, and tell *agent* from now on."""

    async def run(self) -> None:
        """Keep telling, until cancelled."""

    def reload(self) -> None:
        """Read again what an operator may have changed."""

    def reconciled(self, names: Sequence[NetnsName]) -> None:
        """These netns were looked at just now."""

    def repaired(self, report: Report, seconds: float) -> None:
        """Drift was repaired, so long after its event."""

    def answer(self, request: dict[str, Any]) -> Answer:
        """Answer a plan, apply or confirm of the control socket.

        Raises: CtherdError.
        """

    def close(self) -> None:
        """Let go of everything."""
