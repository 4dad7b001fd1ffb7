"""The dataplane and the revoker as the unprivileged side has them: each call passes the boundary.

A daemon that dies takes its open namespaces along, and nothing else: tables stay in the kernel, and
oslo.privsep starts another daemon with the next call, which reads everything anew. What it was
asked meanwhile fails as the kernel might have, netns by netns, and is tried again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from oslo_privsep.comm import PrivsepTimeout
from oslo_privsep.daemon import FailedToDropPrivileges

from ctherd.errors import CtherdError, PrivilegeMissing
from ctherd.model.debt import Debt
from ctherd.model.document import NetnsName
from ctherd.neutron import plain
from ctherd.neutron.plain import Plain
from ctherd.ports import (
    Capabilities,
    Observed,
    ObserveRequest,
    Outcome,
    Revocation,
    Revoked,
    Transaction,
)

_T = TypeVar("_T")

_CURE: Final = (
    "`helper_command` of section [privsep_ctherd], or else `root_helper` of [agent], must let this "
    "user start privsep-helper for the context ctherd.neutron.privileged.context"
)


class Calls(Protocol):
    """What the privileged side can be asked, as ``privileged`` has it."""

    def describe(self) -> Plain:
        """Return the capabilities of the dataplane, its name, and why it is this one."""

    def identify(self, released: Sequence[str], names: Sequence[str]) -> Plain:
        """Return a cookie or an error for each name."""

    def observe(self, released: Sequence[str], requests: Sequence[Plain]) -> Plain:
        """Return what the kernel says of each netns."""

    def commit(self, released: Sequence[str], transactions: Sequence[Plain]) -> Plain:
        """Carry out each transaction."""

    def release(self, names: Sequence[str]) -> Plain:
        """Let go of these netns."""

    def revoke(self, revocation: Plain) -> Plain:
        """Pay what is owed to the flows of one netns."""

    def look_around(self, netns: str, tag: str | None, assigned: str) -> Plain:
        """Return what there is in one netns besides our assignments."""

    def find_inherited(self, kept: Sequence[str]) -> Plain:
        """Return what Neutron's extension left, in *kept* netns and all others."""

    def remove_inherited(self, names: Sequence[str]) -> Plain:
        """Remove it; return the errors."""

    def tell_events(self, address: str, secret: str) -> Plain:
        """Tell whoever listens at *address* of commits."""


def ask(operation: str, call: Callable[..., Plain], *arguments: Any) -> Any:
    """Return the answer to a call.

    Raises: CtherdError, whether it passed the boundary or there is no daemon on the other side.
    """
    try:
        answer = call(*arguments)
    except FailedToDropPrivileges as error:
        raise PrivilegeMissing(
            f"the privileged daemon cannot be started: {error}", cure=_CURE
        ) from error
    except PrivsepTimeout as error:
        raise plain.unreachable(operation, OSError(str(error))) from error
    except OSError as error:
        raise plain.unreachable(operation, error) from error
    if answer[0] == "error":
        raise plain.error_from_plain(answer)
    return answer[1]


class RemoteDataplane:
    """A dataplane (ports.Dataplane) on the other side; for one thread."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._open: set[NetnsName] = set()
        self._released: set[NetnsName] = set()
        self._described: tuple[Capabilities, Mapping[str, str]] | None = None

    @property
    def chosen(self) -> Mapping[str, str]:
        """Which dataplane it is, and why."""
        return self._describe()[1]

    def capabilities(self) -> Capabilities:
        """Ask once.

        Raises: CtherdError.
        """
        return self._describe()[0]

    def identify(self, names: Sequence[NetnsName]) -> list[int | CtherdError]:
        """Return the cookie of the netns that each name leads to now."""
        if not names:
            return []
        self._released.difference_update(names)
        found = self._batch(
            "identify", self._calls.identify, list(names), plain.identity_from_plain, len(names)
        )
        self._open.update(names)
        return found

    def observe(self, requests: Sequence[ObserveRequest]) -> list[Observed]:
        """Return what the kernel says now."""
        asked = [plain.request_to_plain(each) for each in requests]
        return self._batch(
            "observe", self._calls.observe, asked, plain.observed_from_plain, len(asked)
        )

    def commit(self, transactions: Sequence[Transaction]) -> list[Outcome]:
        """Carry out each transaction."""
        asked = [plain.transaction_to_plain(each) for each in transactions]
        return self._batch(
            "commit", self._calls.commit, asked, plain.outcome_from_plain, len(asked)
        )

    def release(self, names: Iterable[NetnsName]) -> None:
        """Let go of these netns with the next call; see ``flush``."""
        self._released |= self._open.intersection(names)

    def flush(self) -> None:
        """Let go now of what is still held, without another call to go along with."""
        if self._released:
            self._batch("release", self._calls.release, [], lambda _: None, 0, alone=True)

    def _batch(
        self,
        operation: str,
        call: Callable[..., Plain],
        asked: Sequence[Plain],
        understand: Callable[[Plain], _T],
        count: int,
        *,
        alone: bool = False,
    ) -> list[_T | CtherdError]:
        if not (asked or alone):
            return []
        released = sorted(self._released)
        try:
            answers = ask(operation, call, released, *(() if alone else (asked,)))
        except CtherdError as error:
            return [error] * count
        self._open.difference_update(released)
        self._released.clear()
        return [understand(each) for each in answers or ()]

    def _describe(self) -> tuple[Capabilities, Mapping[str, str]]:
        if self._described is None:
            guards, events, destinations, name, why = ask("describe", self._calls.describe)
            self._described = (
                Capabilities(guards=guards, events=events, destinations=destinations),
                {"name": name, "why": why},
            )
        return self._described


class RemoteRevoker:
    """A revoker (ports.Revoker) on the other side; beside the dataplane."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def revoke(self, revocation: Revocation) -> Revoked | CtherdError:
        """Pay what is owed."""
        asked = plain.revocation_to_plain(revocation)
        try:
            return plain.revoked_from_plain(ask("revoke", self._calls.revoke, asked))
        except CtherdError as error:
            return error

    def count(self, revocation: Revocation) -> Mapping[Debt, int] | CtherdError:
        """Count nothing: that is for plans, and Neutron makes none."""
        return {}
